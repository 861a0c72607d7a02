/**
 * Records in Redis. Each write is one script about the keys of one record. A write that creates a record,
 * ends it or makes it expire earlier also updates the directory, in the order that `record-directory.ts` gives.
 */
import type { Logger } from '../../types.ts';
import { idOf } from '../shared/cursor.ts';
import { groupOf, rangeOf } from '../shared/groups.ts';
import { checkDroppable } from '../shared/kinds.ts';
import { expiredRecord } from '../shared/expired-record.ts';
import { type AddOutcome, type CreateOutcome, type EndOutcome, type FoundRecord, RECORD_VERSION } from '../store.ts';
import type {
  ClaimOutcome,
  DropOutcome,
  DueRecord,
  Fence,
  NewRecord,
  Ownership,
  RecordChange,
  RecordPage,
  Records,
  SaveOutcome,
  Seen,
  StoredRecord,
} from '../store.ts';
import { RESERVED_MS, RecordDirectory } from './record-directory.ts';
import { fenceText, type RecordWriter } from './record-writer.ts';
import {
  bodyOf,
  changedFields,
  changedHead,
  fieldsOf,
  foundRecord,
  headOf,
  marksOf,
  msUntil,
  openStreamsOf,
  type FoundValue,
  type ReadReply,
} from './record-values.ts';
import { RedisLog } from './record-log.ts';
import { rawReply } from './server.ts';
import { ADD, CLAIM, CREATE, CREATE_VITAL, DROP, END, READ, SAVE } from './record-scripts.ts';

/** Records that a listing reads at once. */
const PAGE = 128;
/** How long the check of an `add` waits. The field must be stored within half of it. */
const ADD_RESERVED_MS = 2_000;

export class RedisRecords extends RedisLog implements Records {
  readonly #writer: RecordWriter;
  /** `undefined`: these records are not listed. */
  readonly #directory: RecordDirectory | undefined;
  readonly #logger: Logger;

  constructor(writer: RecordWriter, logger: Logger) {
    super(writer);
    this.#writer = writer;
    this.#logger = logger;
    if (writer.kind.listed) this.#directory = new RecordDirectory(writer.server, writer.keys, writer.kind.vital);
  }

  create(record: NewRecord, expiresInMs: number | null = null, dueInMs: number | null = null): Promise<CreateOutcome> {
    const { keys, keptMs, kind } = this.#writer;
    const { id } = record;
    groupOf(kind, id);
    const [lasts, due] = [expiresInMs, dueInMs].map((ms) => (ms === null ? '' : String(ms)));
    const head = headOf(record);
    const named = changedFields(record.fields);
    return this.#writer.steps(id, async () => {
      const until = await this.#directory?.reserve(id);
      const kept = [until ?? 'inf', keptMs, String(kind.keepMs), lasts ?? '', due ?? '', bodyOf(record)];
      const fields = ['f', fenceText(record), 'w', this.#writer.next(), ...head];
      const [made] = await Promise.all([
        this.#writer.run(kind.vital === true ? CREATE_VITAL : CREATE, keys.record(id), [
          ...kept,
          String(fields.length / 2),
          ...fields,
          ...named,
        ]),
        this.#directory?.scheduleCheck(id, checkOfNew(Number(until), expiresInMs, dueInMs)),
      ]);
      if (made === 'W') return 'created';
      if (made !== 'X') throw this.#writer.refusal(made);
      // The record existed already: schedule its check again.
      await this.#directory?.scheduleCheck(id);
      return 'exists';
    });
  }

  async read(id: string): Promise<FoundRecord> {
    return this.#shown(await this.#find(id));
  }

  claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    const [head, body, fields, open] = this.#writer.keys.record(id);
    const claimed = fenceText({ epoch: from.epoch + 1, owner: me });
    return this.#writer.step(id, async () => {
      const args = [this.#writer.next(), fenceText(from), claimed, String(RECORD_VERSION)];
      const reply = (await this.#writer.run(CLAIM, [head, body, fields, open], args)) as ReadReply;
      const [, , , , outcome, marksAndStreams] = reply;
      const found = this.#found(id, reply);
      if (outcome === 'W' && found?.record !== undefined) {
        const record = { ...found.record, epoch: from.epoch + 1, owner: me };
        const expiresInMs = record.expiresAt === null ? null : record.expiresAt - found.now;
        const kept = fieldsOf(marksAndStreams);
        return { claimed: true, record, marks: marksOf(kept), streams: openStreamsOf(kept), expiresInMs };
      }
      // Claimed, but damaged: no instance can restore the record.
      if (outcome !== 'F' && outcome !== 'W') throw this.#writer.refusal(outcome);
      return { claimed: false, current: this.#shown(found) };
    });
  }

  async save(id: string, fence: Fence, change: RecordChange): Promise<SaveOutcome> {
    const { release, expiresInMs, due } = change;
    const head = changedHead(change);
    const after = release === true ? fenceText({ epoch: fence.epoch, owner: null }) : '';
    const times = [msUntil(expiresInMs), msUntil(due?.inMs), String(due?.seen ?? '')];
    const args = [after, ...times, String(head.length / 2), ...head, ...changedFields(change.fields)];
    const keys = this.#writer.lasting(this.#writer.keys.record(id));
    const reply = await this.#writer.fenced(SAVE, id, keys, fence, args, rawReply);
    if (Array.isArray(reply)) {
      const [earlier, outcome] = reply as [string, string];
      if (earlier !== '') await this.#directory?.scheduleCheck(id, Number(earlier));
      return outcome === 'R' ? 'rung' : 'written';
    }
    return this.#writer.outcome(reply);
  }

  /** The check that is reserved first finds the bell if this instance crashes after the write. */
  add(id: string, field: string, text: string): Promise<AddOutcome> {
    const { keys, keptMs } = this.#writer;
    const [head, , fields] = keys.record(id);
    return this.#writer.steps(id, async () => {
      const until = (await this.#directory?.reserve(id, ADD_RESERVED_MS)) ?? 'inf';
      const reply = await this.#writer.run(ADD, [head, fields], [until, keptMs, field, text]);
      // The reservation has put off a check that was due before.
      await this.#directory?.scheduleCheck(id);
      if (reply === 'G') return 'gone';
      if (reply === 'X') return 'exists';
      if (reply !== 'W') throw this.#writer.refusal(reply);
      return 'added';
    });
  }

  /** The first call that ends an expired record answers `'ended'`, so that exactly one caller reports the end. */
  end(id: string, from: Seen, outcome: string, keepMs = this.#writer.kind.keepMs): Promise<EndOutcome> {
    const { keys, kind } = this.#writer;
    const given = [fenceText(from), outcome, ...[keepMs, kind.keepMs, from.atStamp ?? ''].map(String)];
    return this.#writer.steps(id, async () => {
      const args = [this.#writer.next(), ...given];
      const [[reply, kept = '']] = await Promise.all([
        this.#writer.run(END, keys.record(id), args) as Promise<[string, string?]>,
        // If this instance crashes before it forgets the entry, the next check makes `count` right.
        kind.grouped === true ? this.#directory?.checkSoon(id) : undefined,
      ]);
      if (reply === 'G') return 'gone';
      if (reply === 'F') return 'fenced';
      if (reply !== 'E') throw this.#writer.refusal(reply);
      await this.#directory?.forget(id, Number(kept));
      return 'ended';
    });
  }

  async drop(id: string, endedAt: number): Promise<DropOutcome> {
    const { keys, kind } = this.#writer;
    checkDroppable(kind);
    const [head] = keys.record(id);
    const reply = await this.#writer.step(id, () => this.#writer.run(DROP, [head], [String(endedAt)]));
    return reply === 'D' ? 'dropped' : 'gone';
  }

  /** In the order of their ids. */
  async list(limit: number, cursor?: string, group?: string): Promise<RecordPage> {
    const records: StoredRecord[] = [];
    const { kind } = this.#writer;
    const [after, before] = group === undefined ? [idOf(cursor), ''] : rangeOf(kind, group, idOf(cursor));
    for (let from = after; ;) {
      const ids = (await this.#directory?.page(Math.min(PAGE, limit + 1), from, before)) ?? [];
      for (const found of await Promise.all(ids.map((id) => this.#listed(id)))) {
        if (found === undefined) continue;
        const last = records.at(-1);
        // A cursor needs a further record, so that the last page has no cursor.
        if (records.length >= limit && last !== undefined) return { records, nextCursor: last.id };
        records.push(found);
      }
      const last = ids.at(-1);
      if (last === undefined || ids.length < Math.min(PAGE, limit + 1)) return { records };
      from = last;
    }
  }

  async count(group?: string): Promise<number> {
    const [after, before] = group === undefined ? ['', ''] : rangeOf(this.#writer.kind, group);
    return (await this.#directory?.count(after, before)) ?? 0;
  }

  async due(limit: number, cursor?: string): Promise<RecordPage<DueRecord>> {
    return (await this.#directory?.due(limit, cursor)) ?? { records: [] };
  }

  /** Keys expire by themselves. */
  trim(): void {}

  async #find(id: string): Promise<FoundValue | undefined> {
    const [head, body, fields] = this.#writer.keys.record(id);
    const reply = (await this.#writer.run(READ, [head, body, fields], [])) as ReadReply;
    return this.#found(id, reply);
  }

  /** A record with a deleted or evicted part cannot be restored: it counts as missing. */
  #found(id: string, reply: ReadReply): FoundValue | undefined {
    const { where } = this.#writer.server;
    return foundRecord(id, reply, where, () =>
      this.#logger.warn(
        { sessionId: id, where },
        'The session counts as missing: a part of its record in Redis was deleted or evicted',
      ),
    );
  }

  /** What callers see: an expired record has ended. */
  #shown(found: FoundValue | undefined): FoundRecord {
    if (found === undefined) return undefined;
    const { now, record } = found;
    if (record === undefined) return found.ended;
    if (!found.expired) return record;
    const ended = expiredRecord(record.id, record.expiresAt ?? 0);
    return ended.at + this.#writer.kind.keepMs > now ? ended : undefined;
  }

  /** Schedules an early check of a record that has ended and is still in the directory. */
  async #listed(id: string): Promise<StoredRecord | undefined> {
    const found = await this.#find(id);
    // A missing record may be in creation.
    if (found === undefined) return undefined;
    if (found.record === undefined) {
      await this.#directory?.scheduleCheck(id);
      return undefined;
    }
    return found.expired ? undefined : found.record;
  }
}

/**
 * When to check a new record first, by the server's clock: when it expires or is due or a moment before, and not after
 * the time until which it may be created. The reservation shows what the server's clock was.
 */
function checkOfNew(until: number, ...times: readonly (number | null)[]): number {
  return Math.min(until, ...times.map((ms) => (ms === null ? until : until - RESERVED_MS / 2 + ms)));
}
