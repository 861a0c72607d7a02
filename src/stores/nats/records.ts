/** Records, each under a key of a bucket. A change replaces exactly the value that was read. */
import { placeOf, placesOf } from '../shared/cursor.ts';
import { checkedGroup, groupOf } from '../shared/groups.ts';
import { checkDroppable } from '../shared/kinds.ts';
import { changedRecord, newRecord, rungRecord, saved, timeAfter, wakeTime } from '../shared/record-change.ts';
import type {
  AddOutcome,
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
  SaveOutcome,
  Seen,
  StoredRecord,
} from '../store.ts';
import { type CleanupSchedule, DUE_SLACK_MS } from './cleanup-schedule.ts';
import type { CachedRecord, HeldValue } from './record-cache.ts';
import { contended } from './failures.ts';
import { shown } from './record-table.ts';
import type { LogWriter } from './log-writer.ts';
import { NatsLog, type NatsLogOptions } from './record-log.ts';
import type { NatsListingOrder } from './listing-order.ts';
import { encodeValue, endedValue, newValue, withLog, type LivingValue } from './record-value.ts';
import { NO_VALUE } from './keyed-values.ts';
import type { Sweeper } from './sweeper.ts';
import { shownRecord } from '../shared/failures.ts';

/** Each write of this record that came first, of the owner or an `add`, costs one. */
const TRIES = 64;

export interface NatsRecordsOptions extends NatsLogOptions {
  readonly log: LogWriter;
  readonly schedule: CleanupSchedule;
  readonly listing: NatsListingOrder;
  readonly sweeper: Sweeper;
  /** The age at which the end of a log is rewritten. */
  readonly rewriteMs: number;
}

export class NatsRecords extends NatsLog implements Records {
  readonly #options: NatsRecordsOptions;

  constructor(options: NatsRecordsOptions) {
    super(options);
    this.#options = options;
  }

  create(record: NewRecord, expiresInMs: number | null = null, dueInMs: number | null = null): Promise<CreateOutcome> {
    groupOf(this.#options.kind, record.id);
    const kept = newRecord(record, null, null);
    return this.#options.queues.run(record.id, async () => {
      const now = (expiresInMs ?? dueInMs) === null ? 0 : await this.#options.clock.now();
      return this.#create({ ...kept, expiresAt: timeAfter(expiresInMs, now), dueAt: timeAfter(dueInMs, now) });
    });
  }

  read(id: string): Promise<FoundRecord> {
    const { table, where, deadlines } = this.#options;
    return deadlines.answered(where, table.look(id).then(shown));
  }

  claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    return this.#options.queues.run(id, () => this.#claim(id, from, me));
  }

  save(id: string, fence: Fence, change: RecordChange): Promise<SaveOutcome> {
    const { table, log, queues, clock } = this.#options;
    const kept = structuredClone(change);
    return queues.run(id, () =>
      this.#fenced(id, fence, async (cached) => {
        // Most changes leave the times as they are, and need no clock.
        const now = kept.expiresInMs !== undefined || kept.due !== undefined ? await clock.now() : 0;
        const value = { ...cached.value, record: changedRecord(cached.value.record, kept, now) };
        const outcome = saved(cached.value.record, kept);
        if (kept.release !== true) return (await this.#replace(id, cached, value)) && outcome;
        const closing = noteOf(fence.epoch, 'release');
        // From here on, the server refuses an append that was sent before and has no answer yet.
        if (cached.log.last.seq > 0 && !(await log.note(id, cached, closing))) return false;
        const done = await this.#replace(id, cached, value);
        table.cache.drop(id);
        return done && outcome;
      }),
    );
  }

  add(id: string, field: string, text: string): Promise<AddOutcome> {
    return this.#options.queues.run(id, () => this.#add(id, field, text));
  }

  end(id: string, from: Seen, outcome: string, keepMs = this.#options.kind.keepMs): Promise<EndOutcome> {
    return this.#options.queues.run(id, () => this.#end(id, from, { outcome, keepMs }));
  }

  async drop(id: string, endedAt: number): Promise<DropOutcome> {
    const { table, queues, kind } = this.#options;
    checkDroppable(kind);
    return queues.run(id, async () => ((await table.dropEnded(id, endedAt)) ? 'dropped' : 'gone'));
  }

  /** In the order of their creation. */
  async list(limit: number, cursor?: string, group?: string): Promise<RecordPage> {
    if (group !== undefined) checkedGroup(this.#options.kind, group);
    return this.#options.sweeper.list(limit, placeOf(cursor) ?? 0, group);
  }

  async count(group?: string): Promise<number> {
    const { kind, listing, where, deadlines } = this.#options;
    if (group !== undefined) checkedGroup(kind, group);
    return deadlines.answered(where, listing.count(group));
  }

  due(limit: number, cursor?: string): Promise<RecordPage<DueRecord>> {
    return this.#options.sweeper.due(limit, placesOf(cursor));
  }

  async trim(): Promise<void> {
    const { kind, sweeper, log, queues, deadlines, rewriteMs } = this.#options;
    const old = log.writtenBefore(deadlines.now() - rewriteMs);
    await Promise.all(old.map((id) => queues.run(id, () => log.rewrite(id))));
    if (!kind.listed) await sweeper.forgetExpired();
  }

  /** Adds the index entries first, so that every living record has them. */
  async #create(record: StoredRecord): Promise<CreateOutcome> {
    const { table, schedule, listing, kind, name } = this.#options;
    const { id } = record;
    const [place] = await Promise.all([kind.listed ? listing.add(id) : 0, schedule.addBefore(record)]);
    const value = newValue(record, name(), place);
    const body = encodeValue(value);
    let position = NO_VALUE;
    for (let tries = 0; tries < TRIES; tries++) {
      const written = await table.write(id, body, position);
      if (written !== undefined) {
        table.created(id, value, written, body.length);
        await schedule.addAfter(record);
        return 'created';
      }
      const status = await table.look(id);
      const forgotten = status.is === 'missing' || (status.is === 'expired' && !status.remembered);
      if (!forgotten) {
        await listing.remove(place);
        return 'exists';
      }
      position = status.is === 'missing' ? status.position : status.held.position;
      if (status.is === 'expired') await this.#options.listing.remove(status.held.value.place);
    }
    throw contended(this.#options.where, shownRecord(id));
  }

  async #add(id: string, field: string, text: string): Promise<AddOutcome> {
    const { table, clock, where } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const status = await table.look(id);
      if (status.is !== 'living') return 'gone';
      const { value } = status.held;
      if (Object.hasOwn(value.record.fields, field)) return 'exists';
      const record = rungRecord(value.record, field, text, await clock.now());
      const added = await this.#scheduled(id, status.held, { ...value, record });
      // A copy in this process has the value before.
      table.cache.drop(id);
      if (added) return 'added';
    }
    throw contended(where, shownRecord(id));
  }

  async #claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    const { table, log } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const { status, cached } = await table.lookWhole(id);
      if (cached === undefined) return { claimed: false, current: shown(status) };
      const { record } = cached.value;
      const { epoch, owner } = record;
      if (epoch === from.epoch + 1 && owner === me) return this.#claimed(cached);
      if (epoch !== from.epoch || owner !== from.owner) return { claimed: false, current: record };
      const next = epoch + 1;
      // Another claim is further than the record that was read, or the store lost its newest records.
      if (cached.log.epoch > next && !(await this.#lostRecords(id, cached))) continue;
      const claim = { epoch: next, owner: me, kind: 'claim' } as const;
      if (!(await log.note(id, cached, claim))) continue;
      const value = { ...cached.value, record: { ...record, epoch: next, owner: me } };
      if (await this.#replace(id, cached, value)) return this.#claimed(cached);
    }
    throw contended(this.#options.where, shownRecord(id));
  }

  async #claimed({ value: { record }, log }: CachedRecord): Promise<ClaimOutcome> {
    const { expiresAt } = record;
    const expiresInMs = expiresAt === null ? null : expiresAt - (await this.#options.clock.now());
    return { claimed: true, record, marks: log.state.marks, streams: log.state.openStreams, expiresInMs };
  }

  /** Whether the record is unchanged since it was read, although the log has a higher epoch. */
  async #lostRecords(id: string, cached: CachedRecord): Promise<boolean> {
    const status = await this.#options.table.look(id);
    return status.is === 'living' && status.held.position.seq === cached.position.seq;
  }

  async #end(
    id: string,
    from: Seen,
    given: { readonly outcome: string; readonly keepMs: number },
  ): Promise<EndOutcome> {
    const { table, log, schedule, clock, kind, owns } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const status = await table.look(id);
      if (status.is === 'missing' || status.is === 'ended') return 'gone';
      const { held } = status;
      const { epoch, owner, stamp } = held.value.record;
      if (epoch !== from.epoch || owner !== from.owner || stamp !== (from.atStamp ?? stamp)) return 'fenced';
      const now = await clock.now();
      // A record that had expired before ended at its expiry, without an outcome.
      const ended = status.is === 'expired' ? status.ended : { id, outcome: given.outcome, at: now };
      const forgetAt = ended.at + (status.is === 'expired' ? kind.keepMs : given.keepMs);
      await schedule.add({ id, at: forgetAt });
      // The owner in this process queues its writes. One elsewhere may have some under way, which the server refuses
      // after this note.
      const closing = noteOf(epoch + 1, 'end');
      if (owner !== null && !owns(owner) && !(await log.note(id, await table.withLog(id, held), closing))) continue;
      const body = encodeValue(endedValue(ended, forgetAt, held.value.place));
      if ((await table.write(id, body, held.position)) === undefined) continue;
      table.cache.drop(id);
      await this.#cleanUp(id, held, epoch + 1);
      return 'ended';
    }
    throw contended(this.#options.where, shownRecord(id));
  }

  /** Steps that fail here are repeated when the tombstone is due. */
  async #cleanUp(id: string, held: HeldValue, epoch: number): Promise<void> {
    const { table, listing, log } = this.#options;
    table.removeParts(held.parts);
    await Promise.allSettled([listing.remove(held.value.place), log.close(id, held, epoch)]);
  }

  /** Runs a change of the owner. Repeats it if another process changed the record in between: it answers `false`. */
  async #fenced(
    id: string,
    { epoch, owner }: Fence,
    change: (cached: CachedRecord) => Promise<SaveOutcome | false>,
  ): Promise<SaveOutcome> {
    const { table } = this.#options;
    let fresh = false;
    for (let tries = 0; tries < TRIES; tries++) {
      const cached = await table.cached(id, fresh);
      const { record } = cached?.value ?? {};
      if (cached === undefined || record?.epoch !== epoch || record.owner !== owner) {
        if (cached?.fresh !== false) return 'fenced';
      } else {
        const outcome = await change(cached);
        if (outcome !== false) return outcome;
      }
      fresh = true;
    }
    throw contended(this.#options.where, shownRecord(id));
  }

  /** Writes the value with the state of the log, and adds a schedule entry if its times need one. */
  async #replace(id: string, cached: CachedRecord, value: LivingValue): Promise<boolean> {
    const { last, state } = cached.log;
    const log = last.seq === 0 ? undefined : { last: last.seq, state: state.summary() };
    return this.#scheduled(id, cached, withLog(value, log));
  }

  /** Replaces the value. An earlier entry is enough: the instance that looks at it adds the next one. */
  async #scheduled(id: string, held: HeldValue, value: LivingValue): Promise<boolean> {
    const { table, schedule, clock } = this.#options;
    const { due, record } = value;
    const at = wakeTime(record);
    if (at === null) return table.replace(id, held, { ...value, due: null });
    if (due === at) return table.replace(id, held, value);
    if (due !== null && due < at && due > (await clock.now()) + DUE_SLACK_MS) return table.replace(id, held, value);
    await schedule.addBefore(record);
    const replaced = await table.replace(id, held, { ...value, due: at });
    await schedule.addAfter(record);
    return replaced;
  }
}

const noteOf = (epoch: number, kind: 'release' | 'end') => ({ epoch, owner: null, kind }) as const;
