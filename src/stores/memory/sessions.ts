/** Records in this process. Every method is atomic, because the process has one thread and no method waits. */
import type {
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
import type { EndReason } from '../../types.ts';
import type { MemorySessionTable } from './session-table.ts';
import { placeOf } from '../shared/cursor.ts';
import { copyRecord, expiryAfter, changedRecord } from '../shared/record-change.ts';

export class MemorySessions implements SessionStore {
  readonly #table: MemorySessionTable;

  constructor(table: MemorySessionTable) {
    this.#table = table;
  }

  create(record: NewRecord, expiresInMs: number | null = null): 'created' | 'exists' {
    if (this.#current(record.id) !== undefined) return 'exists';
    this.#table.add(copyRecord(record, expiryAfter(expiresInMs, this.#table.now())));
    return 'created';
  }

  read(id: string): StoredRecord | EndedSession | undefined {
    return this.#current(id);
  }

  claim(id: string, from: Ownership, me: string): ClaimOutcome {
    const session = this.#table.living(id);
    if (session === undefined) return { claimed: false, current: this.#table.ended(id) };
    const { epoch, owner } = session;
    const replyLost = epoch === from.epoch + 1 && owner === me;
    const unchanged = session.ownedBy(from);
    if (!replyLost && !unchanged) return { claimed: false, current: session.record };
    if (unchanged) this.#table.write(session, { ...session.record, epoch: epoch + 1, owner: me });
    const { record, markers } = session;
    const expiresInMs = record.expiresAt === null ? null : record.expiresAt - this.#table.now();
    return { claimed: true, record, markers, expiresInMs };
  }

  save(id: string, fence: Fence, change: RecordChange): WriteOutcome {
    const now = this.#table.now();
    const session = this.#table.writable(id, fence, now);
    if (session === undefined) return 'fenced';
    this.#table.write(session, changedRecord(session.record, change, now));
    return 'written';
  }

  release(id: string, fence: Fence, change: RecordChange = {}): WriteOutcome {
    const now = this.#table.now();
    const session = this.#table.writable(id, fence, now);
    if (session === undefined) return 'fenced';
    this.#table.write(session, { ...changedRecord(session.record, change, now), owner: null });
    return 'written';
  }

  /** Answers `'ended'` once for an expired session, so that exactly one caller reports its end. */
  end(id: string, from: Ownership, reason: EndReason): 'ended' | 'fenced' | 'gone' {
    const session = this.#table.held(id);
    if (session === undefined) return 'gone';
    if (!session.ownedBy(from)) return 'fenced';
    this.#table.end(session, reason);
    return 'ended';
  }

  mark(id: string, fence: Fence, marker: Marker, clear = false): WriteOutcome {
    const session = this.#table.writable(id, fence);
    if (session === undefined) return 'fenced';
    if (clear) session.unmark(marker);
    else session.mark(marker);
    return 'written';
  }

  list(limit: number, cursor?: string): SessionPage {
    const records: StoredRecord[] = [];
    let last = -1;
    for (const { record, place } of this.#table.after(placeOf(cursor) ?? -1)) {
      // There is a cursor only if another session follows, so the last page has none.
      if (records.length >= limit) return { records, nextCursor: String(last) };
      records.push(record);
      last = place;
    }
    return { records };
  }

  count(): number {
    return this.#table.count();
  }

  expired(limit: number): readonly ExpiredSession[] {
    this.#table.sweep();
    const expired: ExpiredSession[] = [];
    for (const { id, epoch, owner } of this.#table.due()) {
      if (expired.length >= limit) break;
      expired.push({ id, epoch, owner });
    }
    return expired;
  }

  #current(id: string): StoredRecord | EndedSession | undefined {
    return this.#table.living(id)?.record ?? this.#table.ended(id);
  }
}
