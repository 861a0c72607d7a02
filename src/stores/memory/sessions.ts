/** Records in this process. Every method is atomic, because the process has one thread and no method waits. */
import type {
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
import { optionInvalid } from '../../errors.ts';
import type { EndReason } from '../../types.ts';
import type { SessionTable } from './session-table.ts';
import { copyRecord, patchRecord } from './record-patch.ts';

/** The part of the instance directory that ownership needs. */
export interface InstanceLiveness {
  alive(instance: string): boolean;
}

export class MemorySessions implements SessionStore {
  readonly #table: SessionTable;
  readonly #instances: InstanceLiveness;

  constructor(table: SessionTable, instances: InstanceLiveness) {
    this.#table = table;
    this.#instances = instances;
  }

  create(record: SessionRecord): 'created' | 'exists' {
    if (this.#current(record.id) !== undefined) return 'exists';
    this.#table.add(copyRecord(record));
    return 'created';
  }

  read(id: string): SessionRecord | EndedSession | undefined {
    return this.#current(id);
  }

  claim(id: string, expectedEpoch: number, me: string): ClaimOutcome {
    const session = this.#table.living(id);
    if (session === undefined) return { claimed: false, current: this.#table.ended(id) };
    const { epoch, owner } = session;
    const replyLost = epoch === expectedEpoch + 1 && owner === me;
    const free = epoch === expectedEpoch && (owner === me || this.#ownerless(owner));
    if (!replyLost && !free) return { claimed: false, current: session.record };
    if (free) this.#table.write(session, { ...session.record, epoch: epoch + 1, owner: me });
    return { claimed: true, record: session.record, markers: session.markers };
  }

  save(id: string, fence: Fence, patch: RecordPatch): WriteOutcome {
    const session = this.#table.writable(id, fence);
    if (session === undefined) return 'fenced';
    this.#table.write(session, patchRecord(session.record, patch));
    return 'written';
  }

  release(id: string, fence: Fence, patch: RecordPatch = {}): WriteOutcome {
    const session = this.#table.writable(id, fence);
    if (session === undefined) return 'fenced';
    this.#table.write(session, { ...patchRecord(session.record, patch), owner: null });
    return 'written';
  }

  /** Answers `'ended'` once for an expired session, so that exactly one caller reports its end. */
  end(id: string, fence: Fence | null, reason: EndReason): 'ended' | 'fenced' | 'gone' {
    const session = this.#table.held(id);
    if (session === undefined) return 'gone';
    const allowed = fence === null ? this.#ownerless(session.owner) : session.fencedBy(fence);
    if (!allowed) return 'fenced';
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
    const records: SessionRecord[] = [];
    let last = -1;
    for (const { record, place } of this.#table.after(placeOf(cursor))) {
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

  expired(limit: number): readonly string[] {
    this.#table.sweep();
    const ids: string[] = [];
    for (const { id, owner } of this.#table.due()) {
      if (ids.length >= limit) break;
      if (this.#ownerless(owner)) ids.push(id);
    }
    return ids;
  }

  #current(id: string): SessionRecord | EndedSession | undefined {
    return this.#table.living(id)?.record ?? this.#table.ended(id);
  }

  #ownerless(owner: string | null): boolean {
    return owner === null || !this.#instances.alive(owner);
  }
}

function placeOf(cursor: string | undefined): number {
  if (cursor === undefined) return -1;
  if (!/^\d{1,15}$/.test(cursor)) throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that list() gave');
  return Number(cursor);
}
