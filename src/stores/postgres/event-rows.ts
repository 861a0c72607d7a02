/**
 * The messages of one append form one row. What retention keeps is computed from the later rows and never stored. So
 * the result is exact even while old rows still wait to be deleted.
 */
import type { EventRetention } from '../../types.ts';
import type { LoggedEvent } from '../store.ts';

/** The record separator: neither JSON text nor a priming event contains it. */
const SEPARATOR = '\u001e';
/** Starts data that is a JSON list. */
const LISTED = '\u001f';

/**
 * Packs several events into one row. Events that PostgreSQL cannot store as text, which are not JSON, become a JSON
 * list.
 */
export function packEvents(events: readonly string[]): string {
  const data = events.length === 1 ? (events[0] ?? '') : events.join(SEPARATOR);
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  const plain = !/[\u0000\u001f]/.test(data) && separators(data) === events.length - 1;
  return plain ? data : LISTED + JSON.stringify(events);
}

function unpackEvents(data: string, n: number): readonly string[] {
  if (data.startsWith(LISTED)) return JSON.parse(data.slice(1)) as string[];
  return n === 1 ? [data] : data.split(SEPARATOR);
}

function separators(data: string): number {
  let count = 0;
  for (let at = data.indexOf(SEPARATOR); at >= 0; at = data.indexOf(SEPARATOR, at + 1)) count += 1;
  return count;
}

/** One append to a stream. `later` events with `laterBytes` came after it in the session; `young`: within `ttlMs`. */
export interface ReplayRow {
  readonly position: number;
  readonly n: number;
  readonly young: boolean;
  readonly later: number;
  readonly laterBytes: number;
  readonly data: string;
}

/** The events of one stream that are kept, oldest first. Once an event is dropped, all older ones are dropped too. */
export function keptEvents(
  rows: readonly ReplayRow[],
  { events: most, bytes: mostBytes }: EventRetention,
): LoggedEvent[] {
  const kept: LoggedEvent[] = [];
  for (const { position, n, young, later, laterBytes, data } of rows.toReversed()) {
    if (!young) break;
    let [count, bytes] = [later, laterBytes];
    const texts = unpackEvents(data, n);
    for (let i = n - 1; i >= 0; i--) {
      const text = texts[i] ?? '';
      if (count >= most || bytes >= mostBytes) return kept.reverse();
      count += 1;
      bytes += Buffer.byteLength(text);
      kept.push({ offset: position + i, data: text });
    }
  }
  return kept.reverse();
}
