/**
 * Entries in the store: which call of a key may run, what became of an earlier one, and the writes of the instance that
 * runs it. A key is used again, so each creation begins with an epoch of its own: a late write about an earlier entry,
 * whose reply was lost, is refused.
 */
import { storedShare } from '../../base/budget.ts';
import { onceConflict } from '../../base/errors.ts';
import { lookPauseMs, type OwnedParts, OwnedRecords } from '../records/owned-records.ts';
import { OwnedRecord } from '../records/owned-record.ts';
import { elapse } from '../../base/system.ts';
import { MOST_RUNS } from '../../session/inbound/retries.ts';
import {
  type EndedRecord,
  type Fence,
  isEnded,
  type MaybePromise,
  type NewRecord,
  RECORD_VERSION,
  type StoredRecord,
} from '../../stores/store.ts';
import { bodyOf, type Outcome, outcomeText, readEntry } from './entry.ts';
import type { OnceCall, OnceEntry } from './once-call.ts';
import type { OnceRun } from './once-run.ts';

/** The store may be away for 15 s, also when the entry should be renewed. */
const LEAST_MS = 60_000;

/** How long an entry lasts that is not renewed. */
export const lastsMs = ({ keepMs }: OnceEntry): number => Math.max(keepMs, LEAST_MS);

/**
 * `ours`: this call runs the handler, which has begun `begun` times. `asks`: after it has asked the application.
 * `waited`: for another instance.
 */
export type FoundEntry =
  | {
      readonly is: 'ours';
      readonly owned: OwnedEntry;
      readonly asks: boolean;
      readonly begun: number;
    }
  | { readonly is: 'ended'; readonly outcome: Outcome; readonly waited: boolean };

/**
 * An entry that this instance owns. Its writes are repeated until the store has answered; what they
 * return never rejects.
 */
export class OwnedEntry extends OwnedRecord {
  readonly #entry: OnceEntry;
  readonly #kind: OwnedRecords;
  readonly #taken: () => void;

  constructor(kind: OwnedRecords, { entry, abort }: OnceRun, fence: Fence) {
    const taken = (): void => abort('another instance runs it');
    super(kind, entry.id, fence, taken);
    this.#taken = taken;
    this.#entry = entry;
    this.#kind = kind;
  }

  /** It lasts `lastsMs` from now. */
  renew(): void {
    const change = { expiresInMs: lastsMs(this.#entry) };
    const { records, logger } = this.#kind;
    void this.#kind.send(
      () => this.#kind.reach(() => records.save(this.id, this.fence, change)),
      (err) =>
        logger.debug({ err, tool: this.#entry.tool }, 'A call that runs once could not be renewed'),
    );
  }

  /** Stores the number of a run before it begins. The first run has none: the entry shows it. */
  async countRun(run: number, throwIfOver: () => void): Promise<void> {
    const change = { head: String(run), expiresInMs: lastsMs(this.#entry) };
    if ((await this.save(() => change)) === 'fenced') this.#taken();
    await this.confirmed(throwIfOver);
  }

  /** The next call with this key asks the application again. */
  release(): Promise<unknown> {
    return this.#store(() => this.save(() => ({ release: true })));
  }

  /** `undefined`: the key may run again. */
  settle(outcome?: Outcome): Promise<unknown> {
    const { share, keepMs } = this.#entry;
    if (outcome === undefined) return this.#store(() => this.end('', 0));
    const ending = { share: storedShare(share), short: outcomeText(this.#entry, { is: 'large' }) };
    return this.#store(() => this.end(outcomeText(this.#entry, outcome), keepMs, ending));
  }

  #store(write: () => Promise<unknown>): Promise<unknown> {
    const failed = 'The outcome of a call that runs once could not be stored: it counts as unknown';
    return this.#kind.send(write, (err) =>
      this.#kind.logger.error({ err, tool: this.#entry.tool }, failed),
    );
  }
}

export class EntryStore extends OwnedRecords {
  /** Epochs of creations that may be stored, although no handler runs for them: they are being taken back. */
  readonly #unbegun = new Set<number>();

  readonly #directory: OwnedParts['directory'];

  constructor(given: OwnedParts) {
    super('once', given);
    this.#directory = given.directory;
  }

  /** Rejects when the client left, the arguments differ, or the store stays away for `maxWaitMs`. */
  async find(call: OnceCall, run: OnceRun): Promise<FoundEntry> {
    const { timeProvider: time } = this.given.options;
    const began = time.monotonic();
    for (let looks = 0; ; looks++) {
      const created = looks === 0 ? await this.#create(call, run) : undefined;
      if (created !== undefined) return { is: 'ours', owned: created, asks: false, begun: 0 };
      const stored = await this.#reach(call, async () =>
        this.outcomes.whole(await this.records.read(call.entry.id)),
      );
      // It has expired, or its key may run again.
      if (stored === undefined || (isEnded(stored) && stored.outcome === '')) looks = -1;
      else {
        const found = await this.#read(call, run, stored, looks > 0);
        if (found !== undefined) return found;
      }
      const waited = time.monotonic() - began;
      await elapse(time, lookPauseMs(waited), call.signal);
      call.signal.throwIfAborted();
    }
  }

  /** `undefined`: there is an entry. */
  async #create(call: OnceCall, run: OnceRun): Promise<OwnedEntry | undefined> {
    const { entry } = call;
    const left = (): boolean => call.signal.aborted;
    await this.leased(left);
    const { options } = this.given;
    const fence = { epoch: this.newEpoch(), owner: this.lease.owner };
    const record = {
      v: RECORD_VERSION,
      id: entry.id,
      ...fence,
      user: call.userKey ?? null,
      share: storedShare(entry.share),
      head: '',
      body: bodyOf(entry),
      fields: {},
      createdAt: options.timeProvider.now(),
      stamp: 0,
    };
    const owned = new OwnedEntry(this, run, fence);
    try {
      const isOurs = await this.create(record, lastsMs(entry), null, left);
      if (isOurs && owned.isCertain) return owned;
      if (isOurs) this.#notBegun(record, entry);
      return undefined;
    } catch (cause) {
      this.#notBegun(record, entry, cause);
      throw cause;
    }
  }

  /** Its entry may be stored, and no handler runs for it. */
  #notBegun(record: NewRecord & Fence, entry: OnceEntry, cause?: unknown): void {
    this.#unbegun.add(record.epoch);
    void this.takeBack(record, lastsMs(entry), null, cause).then(() =>
      this.#unbegun.delete(record.epoch),
    );
  }

  #reach<T>(call: OnceCall, work: () => MaybePromise<T>): Promise<T> {
    return this.reach(work, () => call.signal.aborted);
  }

  /** `undefined`: it runs at another instance, or has changed: look again. */
  async #read(
    call: OnceCall,
    run: OnceRun,
    stored: StoredRecord | EndedRecord,
    waited: boolean,
  ): Promise<FoundEntry | undefined> {
    const entry = readEntry(isEnded(stored) ? stored.outcome : stored.body);
    // A newer build has written it, so its outcome is not known here.
    if (entry === undefined) return { is: 'ended', outcome: { is: 'large' }, waited };
    if (entry.args !== call.entry.args) throw onceConflict();
    if (isEnded(stored)) return { is: 'ended', outcome: entry.outcome ?? { is: 'lost' }, waited };
    if (this.#unbegun.has(stored.epoch)) return undefined;
    // No call here runs an entry of this instance: its handler has run, and its outcome could not be stored.
    if (await this.#reach(call, () => this.#directory.isTaken(stored))) return undefined;
    return this.#crashed(call, run, stored);
  }

  async #crashed(
    call: OnceCall,
    run: OnceRun,
    stored: StoredRecord,
  ): Promise<FoundEntry | undefined> {
    const { epoch, owner, head } = stored;
    const { entry } = call;
    const policy = await call.afterCrash();
    const begun = Math.max(1, Number(head));
    if (policy === 'fail' || (policy === 'run' && begun >= MOST_RUNS)) {
      const lost: Outcome = { is: 'lost' };
      const text = outcomeText(entry, lost);
      const ended = await this.#reach(call, () =>
        this.records.end(entry.id, { epoch, owner }, text, entry.keepMs),
      );
      return ended === 'ended' ? { is: 'ended', outcome: lost, waited: false } : undefined;
    }
    await this.leased(() => call.signal.aborted);
    const me = this.lease.owner;
    const owned = new OwnedEntry(this, run, { epoch: epoch + 1, owner: me });
    try {
      const { claimed } = await this.#reach(call, () =>
        this.records.claim(entry.id, { epoch, owner }, me),
      );
      if (!claimed) return undefined;
      if (!owned.isCertain) {
        void owned.release();
        return undefined;
      }
    } catch (cause) {
      // It may be claimed all the same, and no handler runs for it.
      void owned.release();
      throw cause;
    }
    owned.renew();
    return { is: 'ours', owned, asks: policy === 'ask', begun };
  }
}
