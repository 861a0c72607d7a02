/**
 * The sessions of one deployment in the file, and who judges them: *held* (a row), *expired* (held, but past its expiry:
 * for everybody it has ended, until `end` makes a tombstone of it), *ended* (a tombstone), *missing*. Each method is one
 * look or one change within the transaction of its caller.
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
    const row = this.database.one<[number, number, string | null, number | null]>(SQL.standing, [this.deployment, id]);
    return row === undefined ? undefined : { no: row[0], epoch: row[1], owner: row[2], expiresAt: row[3] };
  }

  /** The row of a living session, if the fence is its own. */
  fenced(id: string, fence: Fence): number | undefined {
    return this.database.one<[number]>(SQL.fenced, this.fence(id, fence))?.[0];
  }

  /** The values that every fenced statement begins with. */
  fence(id: string, { epoch, owner }: Fence): readonly [number, string, number, string, number] {
    return [this.deployment, id, epoch, owner, this.clock.wall()];
  }

  expired({ expiresAt }: Pick<SessionRecord, 'expiresAt'>): boolean {
    return expiresAt !== null && expiresAt <= this.clock.wall();
  }

  /** What everybody sees of an id that is held. */
  shown({ record }: HeldSession): SessionRecord | EndedSession | undefined {
    if (!this.expired(record)) return record;
    const ended = expiredValue(record.id, record.expiresAt);
    return this.#remembers(ended.at) ? ended : undefined;
  }

  /** The tombstone of an id that is not held. */
  ended(id: string): EndedSession | undefined {
    const row = this.database.one<[number, EndReason, number, number]>(SQL.ended, [this.deployment, id]);
    if (row === undefined) return undefined;
    const [v, reason, at, forgetAt] = row;
    return forgetAt > this.clock.wall() ? { v, id, ended: reason, at } : undefined;
  }

  current(id: string): SessionRecord | EndedSession | undefined {
    const held = this.held(id);
    return held === undefined ? this.ended(id) : this.shown(held);
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

function expiredValue(id: string, expiresAt: number | null): EndedSession {
  return { v: RECORD_VERSION, id, ended: 'idle', at: expiresAt ?? 0 };
}
