/**
 * Entries in the store: which call of a key may run, what became of an earlier one, and the writes of the instance that
 * runs it. A write whose reply was lost is found again by the stamp of the creation.
 *
 * A dead owner is judged as everywhere: the instance directory has no lease for it. While owners may return after an
 * outage of the store, none counts as dead.
 */
import type { KeptRecords } from '../kept/kept-records.ts';
import { onceConflict, storeAway } from '../errors.ts';
import { lookPauseMs } from '../owned/look-pause.ts';
import { PendingWrites } from '../owned/pending-writes.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { elapse, type RandomSource } from '../base/system.ts';
import { whileAway } from '../session/record/pause.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import {
  type EndedRecord,
  isEnded,
  type MaybePromise,
  type NewRecord,
  RECORD_VERSION,
  type StoredRecord,
} from '../stores/store.ts';
import { bodyOf, type Outcome, outcomeText, readEntry } from './entry.ts';
import type { LocalEntry } from './local-entry.ts';
import type { OnceCall } from '../session/calls/once-calls.ts';
import { OnceRun } from './once-run.ts';

/** 48 random bits: no two creations of one key have the same stamp. */
const STAMP_BYTES = 6;

/** The lease of this instance. */
interface EntryLease {
  readonly owner: string;
  readonly valid: boolean;
  readonly ownersMayReturn: boolean;
}

export interface EntryStoreOptions {
  readonly options: Pick<ResolvedOptions, 'timeProvider' | 'waitMs' | 'logger' | 'hookTimeoutMs'>;
  readonly store: EndpointStore;
  readonly lease: EntryLease;
  readonly random: RandomSource;
}

/** `ours`: this call runs the handler. `asks`: after it has asked the application. `waited`: for another instance. */
export type FoundEntry =
  | { readonly is: 'ours'; readonly run: OnceRun; readonly asks: boolean }
  | { readonly is: 'ended'; readonly outcome: Outcome; readonly waited: boolean };

export class EntryStore {
  readonly #given: EntryStoreOptions;
  readonly #writes: PendingWrites;
  /** Stamps of creations that may be stored, although no handler runs for them: they are being taken back. */
  readonly #unbegun = new Set<number>();
  #stopped = false;

  constructor(given: EntryStoreOptions) {
    this.#given = given;
    this.#writes = new PendingWrites(given.options.timeProvider);
  }

  get #records(): KeptRecords {
    return this.#given.store.once;
  }

  /** A function that is made for a call would keep that call. */
  readonly #recordsNow = (): KeptRecords => this.#records;

  /** Rejects when the client left, the arguments differ, or the store stays away for `waitMs`. */
  async find(call: OnceCall, local: LocalEntry): Promise<FoundEntry> {
    const { timeProvider: time } = this.#given.options;
    const began = time.monotonic();
    for (let looks = 0; ; looks++) {
      const created = looks === 0 ? await this.#create(call) : undefined;
      if (created !== undefined) return { is: 'ours', run: created, asks: false };
      const stored = await this.#reach(call, () => this.#records.read(call.id));
      // It has expired, or its key may run again.
      if (stored === undefined || (isEnded(stored) && stored.outcome === '')) looks = -1;
      else {
        const found = await this.#read(call, local, stored, looks > 0);
        if (found !== undefined) return found;
      }
      const waited = time.monotonic() - began;
      await elapse(time, lookPauseMs(waited), call.signal);
      call.signal.throwIfAborted();
    }
  }

  /** `undefined`: there is an entry. */
  async #create(call: OnceCall): Promise<OnceRun | undefined> {
    await this.#untilLeaseValid(call);
    const { options, random, lease } = this.#given;
    const now = options.timeProvider.now();
    const fence = { epoch: 1, owner: lease.owner };
    const stamp = Buffer.from(random(STAMP_BYTES)).readUIntBE(0, STAMP_BYTES);
    const record: NewRecord = {
      v: RECORD_VERSION,
      id: call.id,
      ...fence,
      user: call.user ?? null,
      head: '',
      body: bodyOf(call),
      fields: {},
      createdAt: now,
      stamp,
    };
    const run = new OnceRun(call, this.#recordsNow, fence, stamp);
    let tries = 0;
    try {
      const created = await this.#reach(call, () => {
        tries += 1;
        return this.#records.create(record, call.keepMs, null, call.share);
      });
      const isOurs = created === 'created' || (tries > 1 && (await this.#isOurs(call, run)));
      if (isOurs && this.#mayBegin(run)) return run;
      if (isOurs) this.#takeBack(run);
      return undefined;
    } catch (cause) {
      this.#takeBack(run);
      throw cause;
    }
  }

  /** A process that was frozen for longer than its lease has lost what it owned, and does not know it yet. */
  #mayBegin({ fence }: OnceRun): boolean {
    const { lease } = this.#given;
    return lease.valid && fence.owner === lease.owner;
  }

  /** Its entry may be stored, and no handler runs for it. */
  #takeBack(run: OnceRun): void {
    this.#unbegun.add(run.stamp);
    this.end(run, '', 0, () => this.#unbegun.delete(run.stamp));
  }

  /** No id owns an entry before its lease is stored: another instance would find its owner dead. */
  async #untilLeaseValid(call: OnceCall): Promise<void> {
    if (this.#given.lease.valid) return;
    await this.#reach(call, () => {
      if (!this.#given.lease.valid) throw storeAway('this instance takes its lease');
    });
  }

  /** Whether the reply to an earlier try of this creation was lost. */
  async #isOurs(call: OnceCall, { stamp, fence }: OnceRun): Promise<boolean> {
    const stored = await this.#reach(call, () => this.#records.read(call.id));
    return stored !== undefined && !isEnded(stored) && stored.stamp === stamp && stored.owner === fence.owner;
  }

  #reach<T>(call: OnceCall, work: () => MaybePromise<T>): Promise<T> {
    const { timeProvider: time, waitMs } = this.#given.options;
    return whileAway({ time, waitMs, stopped: () => this.#stopped || call.signal.aborted }, work);
  }

  /** `undefined`: it runs at another instance, or has changed: look again. */
  async #read(
    call: OnceCall,
    local: LocalEntry,
    stored: StoredRecord | EndedRecord,
    waited: boolean,
  ): Promise<FoundEntry | undefined> {
    const entry = readEntry(isEnded(stored) ? stored.outcome : stored.body);
    // A newer build has written it, so its outcome is not known here.
    if (entry === undefined) return { is: 'ended', outcome: { is: 'large' }, waited };
    if (entry.args !== call.args) throw onceConflict();
    local.know();
    if (isEnded(stored)) return { is: 'ended', outcome: entry.outcome ?? { is: 'lost' }, waited };
    if (this.#unbegun.has(stored.stamp)) return undefined;
    // No call here runs an entry of this instance: its handler has run, and its outcome could not be stored.
    if (stored.owner !== this.#given.lease.owner && (await this.#lives(call, stored))) return undefined;
    return this.#crashed(call, stored);
  }

  async #lives(call: OnceCall, { owner }: StoredRecord): Promise<boolean> {
    const { lease, store } = this.#given;
    if (owner === null) return false;
    const found = await this.#reach(call, () => store.instances.read(owner));
    return found !== undefined || lease.ownersMayReturn;
  }

  async #crashed(call: OnceCall, stored: StoredRecord): Promise<FoundEntry | undefined> {
    const { epoch, owner, stamp } = stored;
    const policy = await call.afterCrash();
    if (policy === 'fail') {
      const lost: Outcome = { is: 'lost' };
      const seen = { epoch, owner, atStamp: stamp };
      const text = outcomeText(call, lost);
      const kept = { share: call.share, short: text };
      const ended = await this.#reach(call, () => this.#records.end(call.id, seen, text, call.keepMs, kept));
      return ended === 'ended' ? { is: 'ended', outcome: lost, waited: false } : undefined;
    }
    await this.#untilLeaseValid(call);
    const me = this.#given.lease.owner;
    const run = new OnceRun(call, this.#recordsNow, { epoch: epoch + 1, owner: me }, stamp);
    try {
      const { claimed } = await this.#reach(call, () => this.#records.claim(call.id, { epoch, owner }, me));
      if (!claimed) return undefined;
      if (!this.#mayBegin(run)) {
        this.release(run);
        return undefined;
      }
    } catch (cause) {
      // It may be claimed all the same, and no handler runs for it.
      this.release(run);
      throw cause;
    }
    this.renew(run);
    return { is: 'ours', run, asks: policy === 'ask' };
  }

  // ——— the writes of the owner ———

  /** The entry lasts `keepMs` from now. */
  renew(run: OnceRun): void {
    const { id, keepMs, fence } = run;
    this.#writes.add(
      () => this.#records.save(id, fence, { expiresInMs: keepMs }),
      (err) => this.#given.options.logger.debug({ err, tool: run.tool }, 'A call that runs once could not be renewed'),
    );
  }

  /** The next call with this key asks the application again. `then` is called after each try. */
  release(run: OnceRun, then: () => void = () => {}): void {
    const released = async (): Promise<void> => {
      try {
        await this.#records.save(run.id, run.fence, { release: true });
      } finally {
        then();
      }
    };
    this.#writes.add(
      () => this.#write(released),
      (err) => this.#failed(run, err),
    );
  }

  /** Stores the outcome, however long the store is away, and then calls `then`. `''`: the key may run again. */
  end(run: OnceRun, outcome: string, keepMs: number, then: () => void = () => {}): void {
    this.#writes.add(
      () => this.#end(run, outcome, keepMs).finally(then),
      (err) => this.#failed(run, err),
    );
  }

  #failed(run: OnceRun, err: unknown): void {
    this.#given.options.logger.error(
      { err, tool: run.tool },
      'The outcome of a call that runs once could not be stored: it counts as unknown',
    );
  }

  async #end(run: OnceRun, outcome: string, keepMs: number): Promise<void> {
    const { id, owned, stamp, share } = run;
    const kept = { share, short: outcomeText(run, { is: 'large' }) };
    await this.#write(() =>
      owned.write((fence) => this.#records.end(id, { ...fence, atStamp: stamp }, outcome, keepMs, kept)),
    );
  }

  /** However long the store is away, until this endpoint ends. */
  #write<T>(work: () => MaybePromise<T>): Promise<T> {
    const { timeProvider: time } = this.#given.options;
    return whileAway({ time, waitMs: Infinity, stopped: () => this.#stopped }, work);
  }

  /** This instance has a new id: the entry of a call that runs is claimed for it. */
  reclaim(run: OnceRun): void {
    const { lease, options } = this.#given;
    const failed = (err: unknown): void =>
      options.logger.debug({ err, tool: run.tool }, 'A call that runs once could not be claimed again');
    run.owned.reclaim(lease, () => run.abort('another instance runs it'), failed);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#writes.stored();
  }
}
