/**
 * The records of one kind in the file and their states:
 *
 * - *held*: there is a row;
 * - *expired*: there is a row and its expiry has passed. Every reader sees an ended record, until `end` replaces the
 *   row by a tombstone;
 * - *ended*: there is a tombstone;
 * - *missing*: there is neither.
 *
 * `expire` stores that a record has expired before any caller gets that answer. So neither a clock that is set back
 * nor a later expiry revives the record. Each method is one read or one change within its caller's transaction.
 */
import type { AddOutcome, EndedRecord, Fence, FoundRecord, Kind, Mark, NewRecord, OpenStream } from '../store.ts';
import { expiredRecord } from '../shared/expired-record.ts';
import { timeAfter } from '../shared/record-change.ts';
import type { StoreClock } from './clock.ts';
import type { SqliteDatabase } from './database.ts';
import { heldRecord, insertRecord, type HeldRecord, type RecordRow } from './record-rows.ts';
import { SQL } from './statements.ts';

/** The columns that decide ownership. */
export interface OwnershipRow {
  readonly no: number;
  readonly epoch: number;
  readonly owner: string | null;
  readonly stamp: number;
  readonly expiresAt: number | null;
  /** The store has answered that this record expired. */
  readonly expired: boolean;
}

/**
 * What a reader finds. `unstored`: the record has expired, and that must be stored before the reader gets the answer.
 */
export interface RecordLookup {
  readonly value: FoundRecord;
  readonly unstored: boolean;
}

export class SqliteRecordTable {
  readonly database: SqliteDatabase;
  readonly space: number;
  readonly kind: Kind;
  readonly clock: Pick<StoreClock, 'wall'>;

  constructor(database: SqliteDatabase, space: number, kind: Kind, clock: Pick<StoreClock, 'wall'>) {
    this.database = database;
    this.space = space;
    this.kind = kind;
    this.clock = clock;
  }

  /** Held, expired or not. */
  held(id: string): HeldRecord | undefined {
    const row = this.database.one<RecordRow>(SQL.record, [this.space, id]);
    return row === undefined ? undefined : heldRecord(row, this.database.path);
  }

  ownership(id: string): OwnershipRow | undefined {
    const row = this.database.one<OwnershipColumns>(SQL.ownership, [this.space, id]);
    if (row === undefined) return undefined;
    const [no, epoch, owner, stamp, expiresAt, expired] = row;
    return { no, epoch, owner, stamp, expiresAt, expired: expired === 1 };
  }

  /** The row number of a living record, if the fence matches. */
  fenced(id: string, fence: Fence): number | undefined {
    return this.database.one<[number]>(SQL.fenced, this.fence(id, fence))?.[0];
  }

  /** The first parameters of every fenced statement. */
  fence(id: string, { epoch, owner }: Fence): readonly [number, string, number, string, number] {
    return [this.space, id, epoch, owner, this.clock.wall()];
  }

  expired({ expired, expiresAt }: Pick<OwnershipRow, 'expired' | 'expiresAt'>): boolean {
    return expired || (expiresAt !== null && expiresAt <= this.clock.wall());
  }

  /** Stores that a record past its expiry has expired, and returns what every reader sees from then on. */
  expire(id: string): FoundRecord {
    this.database.run(SQL.expire, [this.space, id, this.clock.wall()]);
    return this.lookup(id).value;
  }

  /** The tombstone of an id that is not held. */
  ended(id: string): EndedRecord | undefined {
    const row = this.database.one<[outcome: string, at: number, forgetAt: number]>(SQL.ended, [this.space, id]);
    if (row === undefined) return undefined;
    const [outcome, at, forgetAt] = row;
    return forgetAt > this.clock.wall() ? { id, outcome, at } : undefined;
  }

  lookup(id: string): RecordLookup {
    const held = this.held(id);
    if (held === undefined) return { value: this.ended(id), unstored: false };
    const { record, expired } = held;
    if (!this.expired({ expired, expiresAt: record.expiresAt })) return { value: record, unstored: false };
    const ended = expiredRecord(record.id, record.expiresAt ?? 0);
    return this.#remembers(ended.at) ? { value: ended, unstored: !expired } : { value: undefined, unstored: false };
  }

  /**
   * `false`: there is a record or a tombstone with this id. An expired record that shows no more is replaced.
   */
  create(record: NewRecord, expiresInMs: number | null, dueInMs: number | null): boolean {
    const { database, space } = this;
    const ownership = this.ownership(record.id);
    if (ownership !== undefined) {
      if (!this.expired(ownership) || this.#remembers(ownership.expiresAt ?? 0)) return false;
      database.run(SQL.deleteRecord, [ownership.no]);
    }
    if (this.ended(record.id) !== undefined) return false;
    const now = this.clock.wall();
    insertRecord(database, space, record, timeAfter(expiresInMs, now), timeAfter(dueInMs, now));
    return true;
  }

  /** A record that had expired before ended at its expiry, without an outcome. */
  end(id: string, ownership: OwnershipRow, given: string, keepMs: number): void {
    const expired = this.expired(ownership) ? expiredRecord(id, ownership.expiresAt ?? 0) : undefined;
    const { outcome, at } = expired ?? { outcome: given, at: this.clock.wall() };
    const forgetAt = at + (expired === undefined ? keepMs : this.kind.keepMs);
    this.database.run(SQL.makeEnded, [this.space, id, outcome, at, forgetAt]);
    this.database.run(SQL.deleteRecord, [ownership.no]);
  }

  add(id: string, field: string, text: string): AddOutcome {
    const { database, space } = this;
    const now = this.clock.wall();
    const no = database.one<[number]>(SQL.living, [space, id, now])?.[0];
    if (no === undefined) return 'gone';
    if (database.change(SQL.addField, [no, field, text]).changes === 0) return 'exists';
    database.run(SQL.ring, [no, now]);
    return 'added';
  }

  mark(no: number, { name, stream }: Mark): void {
    this.database.run(SQL.mark, [no, name, stream]);
  }

  unmark(no: number, { name, stream }: Mark): void {
    if (this.database.change(SQL.unmark, [no, name, stream]).changes === 1) return;
    this.database.run(SQL.unmarkOpen, [no, name, stream]);
  }

  marks(no: number): readonly Mark[] {
    return this.database.all<[string, string]>(SQL.marks, [no]).map(([name, stream]) => ({ name, stream }));
  }

  openStreams(no: number): readonly OpenStream[] {
    return this.database
      .all<[string, number, string | null]>(SQL.openStreams, [no])
      .map(([stream, next, note]) => ({ stream, next, note }));
  }

  #remembers(endedAt: number): boolean {
    return endedAt + this.kind.keepMs > this.clock.wall();
  }
}

/** A row of `SQL.ownership`. */
type OwnershipColumns = readonly [
  no: number,
  epoch: number,
  owner: string | null,
  stamp: number,
  expiresAt: number | null,
  expired: number,
];
