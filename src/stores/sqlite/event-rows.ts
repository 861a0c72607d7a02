/**
 * The messages of one append as one row. Which events retention keeps is computed from the later events and never
 * stored. So the result is exact even if old rows are not deleted yet, and deletion can wait.
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

/** Messages that contain the separator (invalid JSON) get a row each. */
export function eventRows(from: number, events: readonly string[]): NewRow[] {
  if (events.length === 0) return [];
  if (events.length > 1 && events.some((data) => data.includes(SEPARATOR)))
    return events.flatMap((data, n) => eventRows(from + n, [data]));
  const data = events.length === 1 ? (events[0] ?? '') : events.join(SEPARATOR);
  const bytes = Buffer.byteLength(data) - (events.length - 1);
  return [{ position: from, n: events.length, bytes, data }];
}

/** A row of `SQL.replay`: after it, `later` events with `laterBytes` bytes were appended to the session. */
export type ReplayRow = readonly [
  position: number,
  n: number,
  at: number,
  later: number,
  laterBytes: number,
  data: string,
];

/**
 * The events of one stream that retention keeps, oldest first. Retention drops the oldest events of a session first.
 */
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
      if (count >= most || bytes >= mostBytes) return kept.reverse();
      count += 1;
      bytes += Buffer.byteLength(text);
      kept.push({ offset: position + i, data: text });
    }
  }
  return kept.reverse();
}
