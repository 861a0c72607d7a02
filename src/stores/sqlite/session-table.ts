/**
 * The sessions of one deployment in the file and their states:
 *
 * - *held*: there is a row;
 * - *expired*: there is a row and its expiry has passed. Every reader sees an ended session, until `end` replaces the
 *   row by a tombstone;
 * - *ended*: there is a tombstone;
 * - *missing*: there is neither.
 *
 * `expire` stores that a session has expired before any caller gets that answer. So neither a clock that is set back
 * nor a later expiry revives the session. Each method is one read or one change within its caller's transaction.
 */
import type { EndReason } from '../../types.ts';
import {
  RECORD_VERSION,
  type EndedSession,
  type Fence,
  type Marker,
  type NewRecord,
  type StoredRecord,
} from '../store.ts';
import { expiredSession } from '../shared/expired-session.ts';
import type { StoreClock } from './clock.ts';
import type { SqliteDatabase } from './database.ts';
import { heldSession, insertRecord, type HeldSession, type RecordRow } from './record-rows.ts';
import { SQL } from './statements.ts';

/** The columns that decide ownership. */
export interface OwnershipRow {
  readonly no: number;
  readonly epoch: number;
  readonly owner: string | null;
  readonly expiresAt: number | null;
  /** The store has answered that this session expired. */
  readonly expired: boolean;
}

/**
 * What a reader finds. `unstored`: the session has expired, and that must be stored before the reader gets the answer.
 */
export interface SessionLookup {
  readonly value: StoredRecord | EndedSession | undefined;
  readonly unstored: boolean;
}

export class SqliteSessionTable {
  readonly database: SqliteDatabase;
  readonly deployment: number;
  readonly clock: StoreClock;
  readonly #tombstoneMs: number;

  constructor(database: SqliteDatabase, deployment: number, clock: StoreClock, tombstoneMs: number) {
    this.database = database;
    this.deployment = deployment;
    this.clock = clock;
    this.#tombstoneMs = tombstoneMs;
  }

  /** Held, expired or not. */
  held(id: string): HeldSession | undefined {
    const row = this.database.one<RecordRow>(SQL.record, [this.deployment, id]);
    return row === undefined ? undefined : heldSession(row, this.database.path);
  }

  ownership(id: string): OwnershipRow | undefined {
    const row = this.database.one<OwnershipColumns>(SQL.ownership, [this.deployment, id]);
    if (row === undefined) return undefined;
    const [no, epoch, owner, expiresAt, expired] = row;
    return { no, epoch, owner, expiresAt, expired: expired === 1 };
  }

  /** The row number of a living session, if the fence matches. */
  fenced(id: string, fence: Fence): number | undefined {
    return this.database.one<[number]>(SQL.fenced, this.fence(id, fence))?.[0];
  }

  /** The first parameters of every fenced statement. */
  fence(id: string, { epoch, owner }: Fence): readonly [number, string, number, string, number] {
    return [this.deployment, id, epoch, owner, this.clock.wall()];
  }

  expired({ expired, expiresAt }: Pick<OwnershipRow, 'expired' | 'expiresAt'>): boolean {
    return expired || (expiresAt !== null && expiresAt <= this.clock.wall());
  }

  /** Stores that a session past its expiry has expired, and returns what every reader sees from then on. */
  expire(id: string): StoredRecord | EndedSession | undefined {
    this.database.run(SQL.expire, [this.deployment, id, this.clock.wall()]);
    return this.lookup(id).value;
  }

  /** The tombstone of an id that is not held. */
  ended(id: string): EndedSession | undefined {
    const row = this.database.one<[number, EndReason, number, number]>(SQL.ended, [this.deployment, id]);
    if (row === undefined) return undefined;
    const [v, reason, at, forgetAt] = row;
    return forgetAt > this.clock.wall() ? { v, id, ended: reason, at } : undefined;
  }

  lookup(id: string): SessionLookup {
    const held = this.held(id);
    if (held === undefined) return { value: this.ended(id), unstored: false };
    const { record, expired } = held;
    if (!this.expired({ expired, expiresAt: record.expiresAt })) return { value: record, unstored: false };
    const ended = expiredSession(record.id, record.expiresAt ?? 0);
    return this.#remembers(ended.at) ? { value: ended, unstored: !expired } : { value: undefined, unstored: false };
  }

  /**
   * `false`: there is a session or a tombstone with this id. An expired session older than a tombstone lives is
   * replaced.
   */
  create(record: NewRecord, expiresInMs: number | null): boolean {
    const { database, deployment } = this;
    const ownership = this.ownership(record.id);
    if (ownership !== undefined) {
      if (!this.expired(ownership) || this.#remembers(ownership.expiresAt ?? 0)) return false;
      database.run(SQL.deleteSession, [ownership.no]);
    }
    if (this.ended(record.id) !== undefined) return false;
    insertRecord(database, deployment, record, expiresInMs === null ? null : this.clock.wall() + expiresInMs);
    return true;
  }

  /** A session that had expired before ended at its expiry with the reason `idle`, whatever `reason` says. */
  end(id: string, ownership: OwnershipRow, reason: EndReason): void {
    const now = this.clock.wall();
    const expired = this.expired(ownership) ? expiredSession(id, ownership.expiresAt ?? 0) : undefined;
    const { v, ended, at } = expired ?? { v: RECORD_VERSION, ended: reason, at: now };
    this.database.run(SQL.makeEnded, [this.deployment, id, v, ended, at, at + this.#tombstoneMs]);
    this.database.run(SQL.deleteSession, [ownership.no]);
  }

  mark(no: number, { request, stream }: Marker): void {
    this.database.run(SQL.mark, [no, request, stream]);
  }

  unmark(no: number, { request, stream }: Marker): void {
    if (this.database.change(SQL.unmark, [no, request, stream]).changes === 1) return;
    this.database.run(SQL.unmarkOpen, [no, request, stream]);
  }

  markers(no: number): readonly Marker[] {
    return this.database.all<[string, string]>(SQL.markers, [no]).map(([request, stream]) => ({ request, stream }));
  }

  #remembers(endedAt: number): boolean {
    return endedAt + this.#tombstoneMs > this.clock.wall();
  }
}

/** A row of `SQL.ownership`. */
type OwnershipColumns = readonly [
  no: number,
  epoch: number,
  owner: string | null,
  expiresAt: number | null,
  expired: number,
];
