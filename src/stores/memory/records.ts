/** Records in this process. Every method is atomic, because the process has one thread and no method waits. */
import type {
  AddOutcome,
  AppendRequest,
  ClaimOutcome,
  CreateOutcome,
  DropOutcome,
  DueRecord,
  EndOutcome,
  Fence,
  FoundRecord,
  NewRecord,
  Ownership,
  RecordChange,
  RecordPage,
  Records,
  ReplayOutcome,
  SaveOutcome,
  Seen,
  StoredRecord,
  WriteOutcome,
} from '../store.ts';
import { placeOf, placesOf } from '../shared/cursor.ts';
import { changedRecord, newRecord, rungRecord, saved, timeAfter } from '../shared/record-change.ts';
import { RecordLog } from './record-log.ts';
import type { MemoryRecordTable } from './record-table.ts';
import type { RetainedLogs } from './retained-logs.ts';

export class MemoryRecords implements Records {
  readonly #table: MemoryRecordTable;
  /** Undefined: this kind keeps no events. */
  readonly #logs: RetainedLogs | undefined;

  constructor(table: MemoryRecordTable, logs: RetainedLogs | undefined) {
    this.#table = table;
    this.#logs = logs;
  }

  create(record: NewRecord, expiresInMs: number | null = null, dueInMs: number | null = null): CreateOutcome {
    if (this.#current(record.id) !== undefined) return 'exists';
    const now = this.#table.now();
    this.#table.add(newRecord(record, timeAfter(expiresInMs, now), timeAfter(dueInMs, now)));
    return 'created';
  }

  read(id: string): FoundRecord {
    return this.#current(id);
  }

  claim(id: string, from: Ownership, me: string): ClaimOutcome {
    const held = this.#table.living(id);
    if (held === undefined) return { claimed: false, current: this.#table.ended(id) };
    const { epoch, owner } = held;
    const replyLost = epoch === from.epoch + 1 && owner === me;
    const unchanged = held.ownedBy(from);
    if (!replyLost && !unchanged) return { claimed: false, current: held.record };
    if (unchanged) this.#table.write(held, { ...held.record, epoch: epoch + 1, owner: me });
    const { record, marks } = held;
    const expiresInMs = record.expiresAt === null ? null : record.expiresAt - this.#table.now();
    return { claimed: true, record, marks, streams: held.log?.open() ?? [], expiresInMs };
  }

  save(id: string, fence: Fence, change: RecordChange): SaveOutcome {
    const now = this.#table.now();
    const held = this.#table.writable(id, fence, now);
    if (held === undefined) return 'fenced';
    const { record } = held;
    this.#table.write(held, changedRecord(record, change, now));
    return saved(record, change);
  }

  add(id: string, field: string, text: string): AddOutcome {
    const held = this.#table.living(id);
    if (held === undefined) return 'gone';
    const { record } = held;
    if (Object.hasOwn(record.fields, field)) return 'exists';
    this.#table.write(held, rungRecord(record, field, text, this.#table.now()));
    return 'added';
  }

  /** Answers `'ended'` once for an expired record, so that exactly one caller reports its end. */
  end(id: string, from: Seen, outcome: string, keepMs?: number): EndOutcome {
    const held = this.#table.held(id);
    if (held === undefined) return 'gone';
    if (!held.ownedBy(from)) return 'fenced';
    if (from.atStamp !== undefined && from.atStamp !== held.record.stamp) return 'fenced';
    this.#table.end(held, outcome, keepMs);
    return 'ended';
  }

  drop(id: string, endedAt: number): DropOutcome {
    return this.#table.dropEnded(id, endedAt) ? 'dropped' : 'gone';
  }

  list(limit: number, cursor?: string, group?: string): RecordPage {
    const records: StoredRecord[] = [];
    let last = -1;
    for (const { record, place } of this.#table.after(placeOf(cursor) ?? -1, group)) {
      // There is a cursor only if another record follows, so the last page has none.
      if (records.length >= limit) return { records, nextCursor: String(last) };
      records.push(record);
      last = place;
    }
    return { records };
  }

  count(group?: string): number {
    return this.#table.count(group);
  }

  due(limit: number, cursor?: string): RecordPage<DueRecord> {
    const now = this.#table.now();
    const records: DueRecord[] = [];
    let last = placesOf(cursor);
    for (const [held, place] of this.#table.due(last)) {
      if (records.length >= limit) return { records, nextCursor: `${last?.join(' ')}` };
      const { id, epoch, owner } = held;
      records.push({ id, epoch, owner, expired: held.expired(now) });
      last = place;
    }
    return { records };
  }

  /** Every call appends, so this answers at once and makes no promise. */
  append(request: AppendRequest): WriteOutcome {
    const { id, fence, stream, mark, unmark } = request;
    const now = this.#table.now();
    const held = this.#table.writable(id, fence, now);
    if (held === undefined) return 'fenced';
    const logs = this.#logs;
    if (logs !== undefined && stream !== null) {
      const log = held.log ?? new RecordLog(held, logs, request.share);
      if (!log.append(stream, request, now)) return 'fenced';
      logs.wrote(log, now);
    }
    if (mark !== undefined) held.mark(mark);
    if (unmark !== undefined) held.unmark(unmark);
    return 'written';
  }

  replay(id: string, stream: string, after: number): ReplayOutcome {
    const log = this.#table.living(id)?.log;
    if (log === undefined) return { found: false, why: 'unknown' };
    this.#logs?.retain(log, this.#table.now());
    return log.replay(stream, after);
  }

  trim(): void {
    this.#logs?.trim(this.#table.now());
    this.#table.sweep();
  }

  forget(id: string, stream: string): void {
    this.#table.living(id)?.log?.forget(stream);
  }

  #current(id: string): FoundRecord {
    return this.#table.living(id)?.record ?? this.#table.ended(id);
  }
}
