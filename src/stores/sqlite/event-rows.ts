/**
 * The messages of one append as one row. What retention keeps is computed from what came later and never stored: so it is
 * exact whatever was deleted yet, and deleting can wait.
 */
import type { EventRetention } from '../../types.ts';
import type { LoggedEvent } from '../store.ts';

/** The record separator: neither JSON text nor a priming event contains it. */
export const SEPARATOR = '\u001e';

export interface NewRow {
  readonly position: number;
  readonly n: number;
  readonly bytes: number;
  readonly data: string;
}

/** What is no JSON after all gets a row for each. */
export function eventRows(from: number, events: readonly string[]): NewRow[] {
  if (events.length === 0) return [];
  if (events.length > 1 && events.some((data) => data.includes(SEPARATOR)))
    return events.flatMap((data, n) => eventRows(from + n, [data]));
  const data = events.length === 1 ? (events[0] ?? '') : events.join(SEPARATOR);
  const bytes = Buffer.byteLength(data) - (events.length - 1);
  return [{ position: from, n: events.length, bytes, data }];
}

/** A row of `SQL.replay`: `later` events with `laterBytes` were appended to the session after it. */
export type ReplayRow = readonly [
  position: number,
  n: number,
  at: number,
  later: number,
  laterBytes: number,
  data: string,
];

/** The events of one stream that are kept, oldest first. Dropped is dropped from the oldest on. */
export function keptEvents(
  rows: readonly ReplayRow[],
  { ttlMs, events: most, bytes: mostBytes }: EventRetention,
  now: number,
): LoggedEvent[] {
  const kept: LoggedEvent[] = [];
  for (let r = rows.length - 1; r >= 0; r--) {
    const row = rows[r];
    if (row === undefined) break;
    const [position, n, at, later, laterBytes, data] = row;
    if (at + ttlMs <= now) break;
    const texts = n === 1 ? [data] : data.split(SEPARATOR);
    let [count, bytes] = [later, laterBytes];
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
