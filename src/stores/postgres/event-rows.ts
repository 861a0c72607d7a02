/**
 * The messages of one append as one row. What retention keeps is computed from what came later and never stored: so it is
 * exact whatever was deleted yet, and deleting can wait.
 */
import type { EventRetention } from '../../types.ts';
import type { LoggedEvent } from '../store.ts';

/** The record separator: neither JSON text nor a priming event contains it. */
const SEPARATOR = '\u001e';
/** Begins what is kept as a list in JSON. */
const LISTED = '\u001f';

/** Of several events in one row, and of any that PostgreSQL could not keep as it is: such are no JSON after all. */
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

/** One append to a stream: `later` events with `laterBytes` came after it in the session. */
export interface ReplayRow {
  readonly position: number;
  readonly n: number;
  readonly young: boolean;
  readonly later: number;
  readonly laterBytes: number;
  readonly data: string;
}

/** The events of one stream that are kept, oldest first. Dropped is dropped from the oldest on. */
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
      count += 1;
      bytes += Buffer.byteLength(text);
      if (count > most || bytes > mostBytes) return kept.reverse();
      kept.push({ offset: position + i, data: text });
    }
  }
  return kept.reverse();
}
