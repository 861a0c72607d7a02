/**
 * What a store is: rows with versions, a numbered log beside each row, and two orders of the rows. A backend compares
 * and keeps. What rows and entries mean, when a record expires and who may write is decided in `records.ts`, once for
 * all stores.
 *
 * 1. A put names the version of the row that it replaces (0: there is no row) and takes effect only if that is stored.
 * 2. A log write takes effect whole, and only while the row has the fence that the write names, and only if the number
 *    of its first entry is above those of all stored entries.
 * 3. A put and what it does to the log (`clear`) are one step. No two rows ever change together.
 * 4. So a write may be sent twice, or arrive late: it then changes nothing. A creation that comes after its row was
 *    deleted would make it again: rows of ended records stay for longer than a write takes.
 * 5. `due` names every row whose `wakeAt` has come. A row with `wakeAt: null` is never named.
 * 6. The clock of `now` is the store's, the same for all processes. What a process knows of it is never ahead, and late
 *    by the way of an answer at most.
 *
 * The kernel calls `write` again only after the earlier call has been answered, and gives it at most one write of each
 * row (`turn-writes.ts`), so a list has no order. `write` answers or fails in a bounded time. It fails with a
 * `storeUnavailable(…)`: the outcome is unknown. A write that the store refuses for what it holds is answered with an error,
 * and the others of the list are stored. `now`, `read`, `log`, `list`, `due` and `count` may answer with or without a
 * promise. A backend whose `write` answers without a promise is in this process (`KernelParts.isAlone`).
 */
import type { KeptByAll } from '../kept-bytes.ts';
import type { EndedRecord, Kind, Mark, MaybePromise, OpenStream, StoredRecord } from '../store.ts';

export interface Row {
  readonly id: string;
  /** A positive integer below 2^53; each put has another one than the put before. */
  readonly version: number;
  /**
   * Log writes must name this text. `null`: the record has ended. Then the row takes no log writes, `list` and `count`
   * pass over it, and only `due`, `read` and puts find it.
   */
  readonly fence: string | null;
  /** ms since 1970 on the clock of `now`, with fractions. */
  readonly wakeAt: number | null;
  /** Whose share it counts in, also once its record has ended; `null`: no one's. */
  readonly share: string | null;
  /** A store that keeps texts finds them in `row-texts.ts`. The body changes only with `clear`. */
  readonly value: StoredRecord | EndedRecord;
  /** Why the value cannot be read, which throws this: a newer build has written it, for example. */
  readonly unreadable?: unknown;
}

export interface LogEntry {
  /** A positive integer below 2^53. Numbers of one log rise, and may have gaps. */
  readonly no: number;
  /** The stream that the entry belongs to; `''`: none. At most 400 bytes. */
  readonly stream: string;
  /** A short JSON value. */
  readonly head: EntryHead;
  /** A store that keeps texts finds them in `row-texts.ts`. */
  readonly events: readonly string[];
}

/** `from`: the offset of the first of `count` events, which have `bytes` together. `at`: when they were written. */
export type EntryHead = readonly [
  from: number,
  count: number,
  bytes: number,
  at: number,
  more?: HeadMore,
];

export interface HeadMore {
  /** The stream is complete. */
  readonly done?: true;
  readonly note?: string;
  readonly mark?: Mark;
  readonly unmark?: Mark;
  /** Everything that earlier entries said about open streams and marks: the owner may have removed them. */
  readonly state?: { readonly streams: readonly OpenStream[]; readonly marks: readonly Mark[] };
}

/** The row is put or deleted. `clear`: its log is removed, and its body is that of the new row. */
export interface RowWrite {
  readonly kind: Kind;
  readonly id: string;
  readonly was: number;
  readonly row: Row | null;
  readonly clear: boolean;
  /** The share whose number changes by `more`, in the same step; `null`: none, or no such kind. */
  readonly share: string | null;
  /** What the row counts from now on, without its log; 0: nothing. */
  readonly bytes: number;
  /** `bytes`, less what the row counted that it replaces. What `clear` removes of the log comes off as well. */
  readonly more: number;
}

/** Entries are added, in this order. Then all entries up to the number `cut` are removed; 0: none. */
export interface LogWrite {
  readonly kind: Kind;
  readonly id: string;
  readonly fence: string;
  readonly entries: readonly LogEntry[];
  readonly cut: number;
  /** The share of a row of a counted kind. Its number grows by `bytes`, less what `cut` removes. */
  readonly share: string | null;
  /** What the entries count together (`counted-bytes.ts`). */
  readonly bytes: number;
}

export type Write = RowWrite | LogWrite;

export const isRowWrite = (write: Write): write is RowWrite => 'was' in write;

/**
 * `false`: the row has another version or another fence, or the log has an entry of that number or above. An error:
 * this write alone was refused for what it holds. In both cases it has changed nothing.
 */
export type Written = boolean | Error;

/** A place in the order of `due`. */
export type DuePlace = readonly [wakeAt: number, id: string];

/**
 * What a store is made of: rows with versions, and logs of numbered entries (`docs/internals/your-own.md`).
 * @experimental
 */
export interface Backend {
  /** The server or file, for errors; without credentials. */
  readonly where: string;
  now(): MaybePromise<number>;
  /** One answer for each write. */
  write(writes: readonly Write[]): MaybePromise<readonly Written[]>;
  read(kind: Kind, id: string): MaybePromise<Row | undefined>;
  /** All entries in the order of their numbers. Only those of `stream` need their events; `null`: none does. */
  log(kind: Kind, id: string, stream: string | null): MaybePromise<readonly LogEntry[]>;
  /** Rows with a fence whose id is after `after` and before `before`, in the order of the bytes of their ids. */
  list(kind: Kind, after: string, before: string, limit: number): MaybePromise<readonly Row[]>;
  /** Rows after a place whose wake time is at most `until`, in the order of time and id. */
  due(kind: Kind, after: DuePlace, until: number, limit: number): MaybePromise<readonly Row[]>;
  /** How many rows with a fence `list` would name. */
  count(kind: Kind, after: string, before: string): MaybePromise<number>;
  /** How many rows of a counted kind have a fence and this share. */
  countOf(kind: Kind, share: string): MaybePromise<number>;
  /** Ids of these rows, in the order of the stamps of their records. */
  oldest(kind: Kind, share: string, most: number): MaybePromise<readonly string[]>;
  /** Ids of the rows of a counted kind that have this share and no fence, in any order. */
  endedOf(kind: Kind, share: string): MaybePromise<readonly string[]>;
  /** The number of a share, for each kind: what its rows and their logs count. */
  kept(kinds: readonly Kind[], share: string): MaybePromise<readonly number[]>;
  /**
   * The same, once the numbers are made of the rows that there are. Absent: no row is gone without a write, as where a
   * server evicts some or a person deletes them.
   */
  recount?(kinds: readonly Kind[], share: string): MaybePromise<readonly number[]>;
  /** The shares that count most in these kinds together, and what all of them count. */
  keptByAll(kinds: readonly Kind[], most: number): MaybePromise<KeptByAll>;
}
