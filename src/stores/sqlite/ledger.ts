/**
 * The sessions of one deployment in the file, and who judges them: *held* (a row), *expired* (held, but past its expiry:
 * for everybody it has ended, until `end` makes a tombstone of it), *ended* (a tombstone), *missing*. A session is stored as
 * expired before a caller hears of it (`expire`): a clock that is set back, or an owner that moves the expiry, brings it
 * back no more. Each method is one look or one change within the transaction of its caller.
 */
import type { EndReason } from '../../types.ts';
import { RECORD_VERSION, type EndedSession, type Fence, type Marker, type SessionRecord } from '../store.ts';
import type { StoreClock } from './clock.ts';
import type { Database } from './database.ts';
import { heldSession, insertRecord, type HeldSession, type RecordRow } from './record-rows.ts';
import { SQL } from './statements.ts';

/** A session as far as ownership is concerned. */
export interface Standing {
  readonly no: number;
  readonly epoch: number;
  readonly owner: string | null;
  readonly expiresAt: number | null;
  /** It was reported as expired. */
  readonly expired: boolean;
}

/** What a reader finds; `unstored`: it may hear that the session has expired once that is stored. */
export interface Look {
  readonly value: SessionRecord | EndedSession | undefined;
  readonly unstored: boolean;
}

export class Ledger {
  readonly database: Database;
  readonly deployment: number;
  readonly clock: StoreClock;
  readonly #tombstoneMs: number;

  constructor(database: Database, deployment: number, clock: StoreClock, tombstoneMs: number) {
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

  standing(id: string): Standing | undefined {
    const row = this.database.one<StandingRow>(SQL.standing, [this.deployment, id]);
    if (row === undefined) return undefined;
    const [no, epoch, owner, expiresAt, expired] = row;
    return { no, epoch, owner, expiresAt, expired: expired === 1 };
  }

  /** The row of a living session, if the fence is its own. */
  fenced(id: string, fence: Fence): number | undefined {
    return this.database.one<[number]>(SQL.fenced, this.fence(id, fence))?.[0];
  }

  /** The values that every fenced statement begins with. */
  fence(id: string, { epoch, owner }: Fence): readonly [number, string, number, string, number] {
    return [this.deployment, id, epoch, owner, this.clock.wall()];
  }

  expired({ expired, expiresAt }: Pick<Standing, 'expired' | 'expiresAt'>): boolean {
    return expired || (expiresAt !== null && expiresAt <= this.clock.wall());
  }

  /** Of a session that is past its expiry: stores that it has expired, and returns what everybody sees of it then. */
  expire(id: string): SessionRecord | EndedSession | undefined {
    this.database.run(SQL.expire, [this.deployment, id, this.clock.wall()]);
    return this.look(id).value;
  }

  /** The tombstone of an id that is not held. */
  ended(id: string): EndedSession | undefined {
    const row = this.database.one<[number, EndReason, number, number]>(SQL.ended, [this.deployment, id]);
    if (row === undefined) return undefined;
    const [v, reason, at, forgetAt] = row;
    return forgetAt > this.clock.wall() ? { v, id, ended: reason, at } : undefined;
  }

  look(id: string): Look {
    const held = this.held(id);
    if (held === undefined) return { value: this.ended(id), unstored: false };
    const { record, expired } = held;
    if (!this.expired({ expired, expiresAt: record.expiresAt })) return { value: record, unstored: false };
    const ended = expiredValue(record.id, record.expiresAt);
    return this.#remembers(ended.at) ? { value: ended, unstored: !expired } : { value: undefined, unstored: false };
  }

  /** `false`: there is one of that id, or a tombstone. Past its tombstone's time an expired one makes room. */
  create(record: SessionRecord): boolean {
    const { database, deployment } = this;
    const standing = this.standing(record.id);
    if (standing !== undefined) {
      if (!this.expired(standing) || this.#remembers(standing.expiresAt ?? 0)) return false;
      database.run(SQL.deleteSession, [standing.no]);
    }
    if (this.ended(record.id) !== undefined) return false;
    insertRecord(database, deployment, record);
    return true;
  }

  /** Expired before: it ended then, as idle, whatever the reason is now. */
  end(id: string, standing: Standing, reason: EndReason): void {
    const now = this.clock.wall();
    const expired = this.expired(standing) ? expiredValue(id, standing.expiresAt) : undefined;
    const { v, ended, at } = expired ?? { v: RECORD_VERSION, ended: reason, at: now };
    this.database.run(SQL.makeEnded, [this.deployment, id, v, ended, at, at + this.#tombstoneMs]);
    this.database.run(SQL.deleteSession, [standing.no]);
  }

  ownerless(owner: string | null): boolean {
    if (owner === null) return true;
    const { boot } = this.clock;
    return this.database.one(SQL.lease, [boot, this.clock.machine(), this.deployment, owner]) === undefined;
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

/** `SQL.standing`. */
type StandingRow = readonly [
  no: number,
  epoch: number,
  owner: string | null,
  expiresAt: number | null,
  expired: number,
];

function expiredValue(id: string, expiresAt: number | null): EndedSession {
  return { v: RECORD_VERSION, id, ended: 'idle', at: expiresAt ?? 0 };
}
