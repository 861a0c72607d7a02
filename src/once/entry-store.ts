/**
 * Entries in the store: which call of a key may run, what became of an earlier one, and the writes of the instance that
 * runs it. A write whose reply was lost is found again by the stamp of the creation.
 */
import { onceConflict } from '../errors.ts';
import { lookPauseMs, type OwnedParts, OwnedRecords } from '../owned/owned-records.ts';
import { elapse } from '../base/system.ts';
import {
  type EndedRecord,
  isEnded,
  type MaybePromise,
  type NewRecord,
  RECORD_VERSION,
  type StoredRecord,
} from '../stores/store.ts';
import { bodyOf, type Outcome, outcomeText, readEntry } from './entry.ts';
import type { OnceCall } from './once-call.ts';
import { OnceRun } from './once-run.ts';

/** 48 random bits: no two creations of one key have the same stamp. */
const STAMP_BYTES = 6;

/** `ours`: this call runs the handler. `asks`: after it has asked the application. `waited`: for another instance. */
export type FoundEntry =
  | { readonly is: 'ours'; readonly run: OnceRun; readonly asks: boolean }
  | { readonly is: 'ended'; readonly outcome: Outcome; readonly waited: boolean };

export class EntryStore {
  readonly #given: OwnedParts;
  readonly #owned: OwnedRecords;
  /** Stamps of creations that may be stored, although no handler runs for them: they are being taken back. */
  readonly #unbegun = new Set<number>();

  constructor(given: OwnedParts) {
    this.#given = given;
    this.#owned = new OwnedRecords('once', given);
  }

  /** Rejects when the client left, the arguments differ, or the store stays away for `waitMs`. */
  async find(call: OnceCall): Promise<FoundEntry> {
    const { timeProvider: time } = this.#given.options;
    const began = time.monotonic();
    for (let looks = 0; ; looks++) {
      const created = looks === 0 ? await this.#create(call) : undefined;
      if (created !== undefined) return { is: 'ours', run: created, asks: false };
      const stored = await this.#reach(call, () => this.#owned.records.read(call.entry.id));
      // It has expired, or its key may run again.
      if (stored === undefined || (isEnded(stored) && stored.outcome === '')) looks = -1;
      else {
        const found = await this.#read(call, stored, looks > 0);
        if (found !== undefined) return found;
      }
      const waited = time.monotonic() - began;
      await elapse(time, lookPauseMs(waited), call.signal);
      call.signal.throwIfAborted();
    }
  }

  /** `undefined`: there is an entry. */
  async #create(call: OnceCall): Promise<OnceRun | undefined> {
    await this.#owned.leased(() => call.signal.aborted);
    const { random, options } = this.#given;
    const fence = { epoch: 1, owner: this.#owned.lease.owner };
    const stamp = Buffer.from(random(STAMP_BYTES)).readUIntBE(0, STAMP_BYTES);
    const record: NewRecord = {
      v: RECORD_VERSION,
      id: call.entry.id,
      ...fence,
      user: call.user ?? null,
      head: '',
      body: bodyOf(call.entry),
      fields: {},
      createdAt: options.timeProvider.now(),
      stamp,
    };
    const run = new OnceRun(call, this.#owned, fence, stamp);
    try {
      const isOurs = await this.#owned.create(record, run.lastsMs, null, call.entry.share, () => call.signal.aborted);
      if (isOurs && this.#mayBegin(run)) return run;
      if (isOurs) this.#takeBack(run);
      return undefined;
    } catch (cause) {
      this.#takeBack(run);
      throw cause;
    }
  }

  /** A process that was frozen for longer than its lease has lost what it owned, and does not know it yet. */
  #mayBegin({ owned }: OnceRun): boolean {
    const { lease } = this.#owned;
    return lease.valid && owned.fence.owner === lease.owner;
  }

  /** Its entry may be stored, and no handler runs for it. */
  #takeBack(run: OnceRun): void {
    this.#unbegun.add(run.stamp);
    this.end(run, '', 0, () => this.#unbegun.delete(run.stamp));
  }

  #reach<T>(call: OnceCall, work: () => MaybePromise<T>): Promise<T> {
    return this.#owned.reach(work, () => call.signal.aborted);
  }

  /** `undefined`: it runs at another instance, or has changed: look again. */
  async #read(call: OnceCall, stored: StoredRecord | EndedRecord, waited: boolean): Promise<FoundEntry | undefined> {
    const entry = readEntry(isEnded(stored) ? stored.outcome : stored.body);
    // A newer build has written it, so its outcome is not known here.
    if (entry === undefined) return { is: 'ended', outcome: { is: 'large' }, waited };
    if (entry.args !== call.entry.args) throw onceConflict();
    if (isEnded(stored)) return { is: 'ended', outcome: entry.outcome ?? { is: 'lost' }, waited };
    if (this.#unbegun.has(stored.stamp)) return undefined;
    // No call here runs an entry of this instance: its handler has run, and its outcome could not be stored.
    if (await this.#reach(call, () => this.#owned.runsElsewhere(stored))) return undefined;
    return this.#crashed(call, stored);
  }

  async #crashed(call: OnceCall, stored: StoredRecord): Promise<FoundEntry | undefined> {
    const { epoch, owner, stamp } = stored;
    const { id, keepMs, share } = call.entry;
    const policy = await call.afterCrash();
    if (policy === 'fail') {
      const lost: Outcome = { is: 'lost' };
      const seen = { epoch, owner, atStamp: stamp };
      const text = outcomeText(call.entry, lost);
      const kept = { share, short: text };
      const ended = await this.#reach(call, () => this.#owned.records.end(id, seen, text, keepMs, kept));
      return ended === 'ended' ? { is: 'ended', outcome: lost, waited: false } : undefined;
    }
    await this.#owned.leased(() => call.signal.aborted);
    const me = this.#owned.lease.owner;
    const run = new OnceRun(call, this.#owned, { epoch: epoch + 1, owner: me }, stamp);
    try {
      const { claimed } = await this.#reach(call, () => this.#owned.records.claim(id, { epoch, owner }, me));
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

  /** The entry lasts `lastsMs` from now. */
  renew({ owned, entry: { id, tool }, lastsMs }: OnceRun): void {
    void this.#owned.send(
      () => this.#owned.reach(() => this.#owned.records.save(id, owned.fence, { expiresInMs: lastsMs })),
      (err) => this.#given.options.logger.debug({ err, tool }, 'A call that runs once could not be renewed'),
    );
  }

  /** The next call with this key asks the application again. Then calls `then`. */
  release(run: OnceRun, then: () => void = () => {}): void {
    this.#store(run, run.owned.save(() => ({ release: true })).finally(then));
  }

  /** Stores the outcome, however long the store is away, and then calls `then`. `''`: the key may run again. */
  end(run: OnceRun, outcome: string, keepMs: number, then: () => void = () => {}): void {
    const kept = { share: run.entry.share, short: outcomeText(run.entry, { is: 'large' }) };
    this.#store(run, run.owned.end(outcome, keepMs, kept).finally(then));
  }

  #store({ entry: { tool } }: OnceRun, written: Promise<unknown>): void {
    const failed = 'The outcome of a call that runs once could not be stored: it counts as unknown';
    void this.#owned.send(
      () => written,
      (err) => this.#given.options.logger.error({ err, tool }, failed),
    );
  }

  stop(): Promise<void> {
    return this.#owned.stop();
  }
}
