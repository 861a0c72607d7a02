/** Records in the file. Every write is one step of a transaction: it checks the fence, then changes the record. */
import type { EndReason } from '../../types.ts';
import { idOf } from '../shared/cursor.ts';
import type {
  MaybePromise,
  ClaimOutcome,
  EndedSession,
  ExpiredSession,
  Fence,
  Marker,
  NewRecord,
  Ownership,
  RecordChange,
  SessionPage,
  StoredRecord,
  SessionStore,
  WriteOutcome,
} from '../store.ts';
import type { SqliteSessionTable, SessionLookup } from './session-table.ts';
import { changeRecord, heldSession, keep, type RecordRow } from './record-rows.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

export class SqliteSessions implements SessionStore {
  readonly #file: StoreFile;
  readonly #table: SqliteSessionTable;

  constructor(file: StoreFile, table: SqliteSessionTable) {
    this.#file = file;
    this.#table = table;
  }

  create(record: NewRecord, expiresInMs: number | null = null): Promise<'created' | 'exists'> {
    const kept = keep(record);
    return this.#file.write(() => (this.#table.create(kept, expiresInMs) ? 'created' : 'exists'));
  }

  read(id: string): MaybePromise<StoredRecord | EndedSession | undefined> {
    const look = this.#file.read(() => this.#table.lookup(id));
    return look instanceof Promise ? look.then((late) => this.#stored(id, late)) : this.#stored(id, look);
  }

  claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    return this.#file.write(() => this.#claim(id, from, me));
  }

  save(id: string, fence: Fence, change: RecordChange): Promise<WriteOutcome> {
    const kept = keep(change);
    return this.#fenced(id, fence, (no) => changeRecord(this.#table.database, no, kept, this.#table.clock.wall()));
  }

  release(id: string, fence: Fence, change: RecordChange = {}): Promise<WriteOutcome> {
    const kept = keep(change);
    return this.#fenced(id, fence, (no) => {
      changeRecord(this.#table.database, no, kept, this.#table.clock.wall());
      this.#table.database.run(SQL.release, [no]);
    });
  }

  /** Answers `'ended'` once for an expired session, so that exactly one caller reports its end. */
  end(id: string, from: Ownership, reason: EndReason): Promise<'ended' | 'fenced' | 'gone'> {
    return this.#file.write(() => {
      const ownership = this.#table.ownership(id);
      if (ownership === undefined) return 'gone';
      if (ownership.epoch !== from.epoch || ownership.owner !== from.owner) return 'fenced';
      this.#table.end(id, ownership, reason);
      return 'ended';
    });
  }

  mark(id: string, fence: Fence, marker: Marker, clear = false): Promise<WriteOutcome> {
    return this.#fenced(id, fence, (no) => {
      if (clear) this.#table.unmark(no, marker);
      else this.#table.mark(no, marker);
    });
  }

  /** In the order of their ids. */
  list(limit: number, cursor?: string): MaybePromise<SessionPage> {
    const { database, deployment, clock } = this.#table;
    const after = idOf(cursor);
    return this.#file.read(() => {
      // There is a cursor only if another session follows, so the last page has none.
      const rows = database.all<RecordRow>(SQL.listSessions, [deployment, after, clock.wall(), limit + 1]);
      const records = rows.slice(0, limit).map((row) => heldSession(row, database.path).record);
      const last = records.at(-1);
      return rows.length > limit && last !== undefined ? { records, nextCursor: last.id } : { records };
    });
  }

  count(): MaybePromise<number> {
    const { database, deployment, clock } = this.#table;
    return this.#file.read(() => database.one<[number]>(SQL.countSessions, [deployment, clock.wall()])?.[0] ?? 0);
  }

  expired(limit: number): MaybePromise<readonly ExpiredSession[]> {
    const { database, deployment, clock } = this.#table;
    const values = [deployment, clock.wall(), limit];
    return this.#file.read(() =>
      database
        .all<[string, number, string | null]>(SQL.expired, values)
        .map(([id, epoch, owner]) => ({ id, epoch, owner })),
    );
  }

  #stored(id: string, { value, unstored }: SessionLookup): MaybePromise<StoredRecord | EndedSession | undefined> {
    return unstored ? this.#file.write(() => this.#table.expire(id)) : value;
  }

  #claim(id: string, from: Ownership, me: string): ClaimOutcome {
    const table = this.#table;
    const held = table.held(id);
    if (held === undefined) return { claimed: false, current: table.ended(id) };
    const { epoch, owner, expiresAt } = held.record;
    if (table.expired({ expired: held.expired, expiresAt })) return { claimed: false, current: table.expire(id) };
    const replyLost = epoch === from.epoch + 1 && owner === me;
    const unchanged = epoch === from.epoch && owner === from.owner;
    if (!replyLost && !unchanged) return { claimed: false, current: held.record };
    if (unchanged) table.database.run(SQL.claim, [me, held.no]);
    const record = unchanged ? { ...held.record, epoch: epoch + 1, owner: me } : held.record;
    const expiresInMs = expiresAt === null ? null : expiresAt - table.clock.wall();
    return { claimed: true, record, markers: table.markers(held.no), expiresInMs };
  }

  #fenced(id: string, fence: Fence, change: (no: number) => void): Promise<WriteOutcome> {
    return this.#file.write(() => {
      const no = this.#table.fenced(id, fence);
      if (no === undefined) return 'fenced';
      change(no);
      return 'written';
    });
  }
}
