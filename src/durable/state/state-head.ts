/**
 * The head of a record of shared state, as JSON: `[lastsMs, dropped, openedAt, [writer, change,
 * stamp, at], …]`, the newest writer first.
 *
 *     lastsMs  how long the record lasts after its last change
 *     openedAt when the owner of a handle opened its object, in ms since 1970; 0: it never had one
 *     writer   an instance that changed the record in the last minute, once
 *     change   the number of its last change, among all changes of this writer
 *     stamp    the stamp which that gave the record
 *     at       when, in s since 1970 by the clock of the store; 0 for the newest writer
 *     dropped  the highest stamp of the writers that are not named any more; 0: none
 *
 * The store says when the newest change was made: `lastsMs` before the record expires. The next writer notes that.
 */
import type { StoredRecord } from '../../stores/store.ts';

/** Retries of a change end long before. */
const NAMED_S = 60;
/** Ten instances are named in some 250 bytes. A process that serves one call names itself once. */
const MOST_NAMED = 100;
const SECOND_MS = 1_000;

type WriterEntry = readonly [name: string, change: number, stamp: number, at: number];
type StoredHead = readonly [lastsMs: number, dropped: number, openedAt: number, ...WriterEntry[]];

/** Who makes a change. */
export interface Author {
  readonly writer: string;
  readonly change: number;
}

export interface StateHead {
  readonly lastsMs: number;
  readonly dropped: number;
  readonly openedAt: number;
  readonly writers: readonly WriterEntry[];
}

export const firstHead = (lastsMs: number, { writer, change }: Author, openedAt = 0): string =>
  JSON.stringify([lastsMs, 0, openedAt, [writer, change, 1, 0]]);

export function readHead({ head }: Pick<StoredRecord, 'head'>): StateHead {
  const [lastsMs, dropped, openedAt, ...writers] = JSON.parse(head) as StoredHead;
  return { lastsMs, dropped, openedAt, writers };
}

/** The head of a handle whose object is opened again. */
export function openedHead(record: StoredRecord, openedAt: number): string {
  const { lastsMs, dropped, writers } = readHead(record);
  return JSON.stringify([lastsMs, dropped, openedAt, ...writers] satisfies StoredHead);
}

/** The head after a change that gives the record this stamp. */
export function nextHead(
  record: StoredRecord,
  lastsMs: number,
  { writer, change }: Author,
  stamp: number,
): string {
  const { lastsMs: before, dropped, openedAt, writers } = readHead(record);
  const lastAt = Math.round(((record.expiresAt ?? 0) - before) / SECOND_MS);
  const others = writers
    .map(([name, number, of, at]): WriterEntry => [name, number, of, at === 0 ? lastAt : at])
    .filter(([name]) => name !== writer);
  const named = others.slice(0, MOST_NAMED).filter(([, , , at]) => lastAt - at <= NAMED_S);
  const gone = others.slice(named.length).map(([, , of]) => of);
  return JSON.stringify([
    lastsMs,
    Math.max(dropped, ...gone),
    openedAt,
    [writer, change, stamp, 0],
    ...named,
  ]);
}
