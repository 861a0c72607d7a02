/** The messages of one append as one row. */
import { SEPARATOR } from '../shared/packed-events.ts';
import type { StoredAppend } from '../shared/replay-outcome.ts';

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

/** A row of `SQL.replay`: after it, `later` events with `laterBytes` bytes were appended to the record. */
export type ReplayRow = readonly [
  position: number,
  n: number,
  at: number,
  later: number,
  laterBytes: number,
  data: string,
];

/** The rows of one stream, newest first. */
export function* storedAppends(rows: readonly ReplayRow[], ttlMs: number, now: number): Iterable<StoredAppend> {
  for (const [from, n, at, later, laterBytes, data] of rows.toReversed())
    yield { from, young: at + ttlMs > now, later, laterBytes, events: n === 1 ? [data] : data.split(SEPARATOR) };
}
