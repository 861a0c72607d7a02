/** Records in the file. Every write is one step of a transaction: it looks at the fence, then changes what it is for. */
import { optionInvalid } from '../../errors.ts';
import type { EndReason } from '../../types.ts';
import type {
  MaybePromise,
  ClaimOutcome,
  EndedSession,
  Fence,
  Marker,
  RecordPatch,
  SessionPage,
  SessionRecord,
  SessionStore,
  WriteOutcome,
} from '../store.ts';
import type { Ledger, Look } from './ledger.ts';
import { heldSession, keep, patchRecord, type RecordRow } from './record-rows.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

export class SqliteSessions implements SessionStore {
  readonly #file: StoreFile;
  readonly #ledger: Ledger;

  constructor(file: StoreFile, ledger: Ledger) {
    this.#file = file;
    this.#ledger = ledger;
  }

  create(record: SessionRecord): Promise<'created' | 'exists'> {
    const kept = keep(record);
    return this.#file.write(() => (this.#ledger.create(kept) ? 'created' : 'exists'));
  }

  read(id: string): MaybePromise<SessionRecord | EndedSession | undefined> {
    const look = this.#file.read(() => this.#ledger.look(id));
    return look instanceof Promise ? look.then((late) => this.#stored(id, late)) : this.#stored(id, look);
  }

  claim(id: string, expectedEpoch: number, me: string): Promise<ClaimOutcome> {
    return this.#file.write(() => this.#claim(id, expectedEpoch, me));
  }

  save(id: string, fence: Fence, patch: RecordPatch): Promise<WriteOutcome> {
    const kept = keep(patch);
    return this.#fenced(id, fence, (no) => patchRecord(this.#ledger.database, no, kept));
  }

  release(id: string, fence: Fence, patch: RecordPatch = {}): Promise<WriteOutcome> {
    const kept = keep(patch);
    return this.#fenced(id, fence, (no) => {
      patchRecord(this.#ledger.database, no, kept);
      this.#ledger.database.run(SQL.release, [no]);
    });
  }

  /** An expired session that nobody has ended yet answers `'ended'` once, so that one caller can tell of its end. */
  end(id: string, fence: Fence | null, reason: EndReason): Promise<'ended' | 'fenced' | 'gone'> {
    return this.#file.write(() => {
      const standing = this.#ledger.standing(id);
      if (standing === undefined) return 'gone';
      const allowed =
        fence === null
          ? this.#ledger.ownerless(standing.owner)
          : standing.epoch === fence.epoch && standing.owner === fence.owner;
      if (!allowed) return 'fenced';
      this.#ledger.end(id, standing, reason);
      return 'ended';
    });
  }

  mark(id: string, fence: Fence, marker: Marker, clear = false): Promise<WriteOutcome> {
    return this.#fenced(id, fence, (no) => {
      if (clear) this.#ledger.unmark(no, marker);
      else this.#ledger.mark(no, marker);
    });
  }

  /** In the order of their ids. */
  list(limit: number, cursor = ''): MaybePromise<SessionPage> {
    if (cursor !== '' && !/^[\x21-\x7e]+$/.test(cursor))
      throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that list() gave');
    const { database, deployment, clock } = this.#ledger;
    return this.#file.read(() => {
      // Only a session that is still to come makes a cursor: the last page has none.
      const rows = database.all<RecordRow>(SQL.listSessions, [deployment, cursor, clock.wall(), limit + 1]);
      const records = rows.slice(0, limit).map((row) => heldSession(row, database.path).record);
      const last = records.at(-1);
      return rows.length > limit && last !== undefined ? { records, nextCursor: last.id } : { records };
    });
  }

  count(): MaybePromise<number> {
    const { database, deployment, clock } = this.#ledger;
    return this.#file.read(() => database.one<[number]>(SQL.countSessions, [deployment, clock.wall()])?.[0] ?? 0);
  }

  expired(limit: number): MaybePromise<readonly string[]> {
    const { database, deployment, clock } = this.#ledger;
    const values = [clock.boot, clock.machine(), deployment, clock.wall(), limit];
    return this.#file.read(() => database.all<[string]>(SQL.expired, values).map(([id]) => id));
  }

  #stored(id: string, { value, unstored }: Look): MaybePromise<SessionRecord | EndedSession | undefined> {
    return unstored ? this.#file.write(() => this.#ledger.expire(id)) : value;
  }

  #claim(id: string, expectedEpoch: number, me: string): ClaimOutcome {
    const ledger = this.#ledger;
    const held = ledger.held(id);
    if (held === undefined) return { claimed: false, current: ledger.ended(id) };
    const { epoch, owner, expiresAt } = held.record;
    if (ledger.expired({ expired: held.expired, expiresAt })) return { claimed: false, current: ledger.expire(id) };
    const replyLost = epoch === expectedEpoch + 1 && owner === me;
    const free = epoch === expectedEpoch && (owner === me || ledger.ownerless(owner));
    if (!replyLost && !free) return { claimed: false, current: held.record };
    if (free) ledger.database.run(SQL.claim, [me, held.no]);
    const record = free ? { ...held.record, epoch: epoch + 1, owner: me } : held.record;
    return { claimed: true, record, markers: ledger.markers(held.no) };
  }

  #fenced(id: string, fence: Fence, change: (no: number) => void): Promise<WriteOutcome> {
    return this.#file.write(() => {
      const no = this.#ledger.fenced(id, fence);
      if (no === undefined) return 'fenced';
      change(no);
      return 'written';
    });
  }
}
