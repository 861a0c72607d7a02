/**
 * The changes of one session's record on their way to the store. One write is under way at a time, and the changes that
 * come during it go together into the next one: the last change of each part wins, whatever the store does with writes.
 *
 *     unsent ──write──▶ sent ──stored──▶ done
 *       ▲                ├──store away──▶ unsent again, below the later changes; retried until the session leaves
 *       ╰────────────────┴──refused──▶ unsent again, under a later claim of this instance; else the copy is fenced
 *
 * What a session has not stored when it leaves is in `unsaved`, for the write that gives the session back.
 */
import { sessionGone } from '../../errors.ts';
import type { CreateOutcome, MaybePromise, RecordChange, SaveOutcome } from '../../stores/store.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import type { SessionHost } from '../session-host.ts';
import { isStoreAway, pause } from './pause.ts';
import { merged } from './session-record.ts';

interface Waiter {
  /** The number of the change that it waits for. */
  readonly change: number;
  /** A time of the monotonic clock, in ms. */
  readonly until: number;
  settle(failure: unknown): void;
}

export class RecordWriter {
  protected readonly host: SessionHost;
  protected readonly ownership: SessionOwnership;
  /** `new`: a change is stored with the record. `creating`: it is stored after the record. */
  #phase: 'new' | 'creating' | 'stored';
  #unsent: RecordChange | undefined = undefined;
  /** The write that is under way. */
  #sent: RecordChange | undefined = undefined;
  /** How many changes there were, and how many of them the store has. */
  #changes = 0;
  #stored = 0;
  #waiters: Waiter[] | undefined = undefined;

  constructor(host: SessionHost, ownership: SessionOwnership, exists: boolean) {
    this.host = host;
    this.ownership = ownership;
    this.#phase = exists ? 'stored' : 'new';
  }

  /** Whether the store does not hold every change yet. */
  get saving(): boolean {
    return this.#sent !== undefined || this.#unsent !== undefined;
  }

  /** Changes that the store may not have. */
  get unsaved(): RecordChange | undefined {
    return this.#sent === undefined ? this.#unsent : merged(this.#sent, this.#unsent);
  }

  /** Stores the record with every change so far. */
  async storeNew(create: () => MaybePromise<CreateOutcome>): Promise<CreateOutcome> {
    this.#phase = 'creating';
    let outcome: CreateOutcome | undefined;
    try {
      return (outcome = await create());
    } finally {
      this.#phase = outcome === 'created' ? 'stored' : 'new';
      if (outcome === 'created') this.#write(0);
    }
  }

  /** Does not wait: a write that fails is logged and retried until the store has it. */
  save(change: RecordChange): void {
    if (this.#phase === 'new') return;
    this.#changes += 1;
    if (this.ownership.left) return;
    const isIdle = !this.saving;
    this.#unsent = this.#unsent === undefined ? change : merged(this.#unsent, change);
    if (isIdle && this.#phase === 'stored') this.#write(0);
  }

  /**
   * Resolves when the store has every change so far, with `undefined`. Else with the error: that of a store that is away
   * after `waitMs`, any other at once.
   */
  async saved(): Promise<unknown> {
    if (this.#stored === this.#changes) return undefined;
    if (this.ownership.left && this.#sent === undefined) return this.#gone();
    const { timeProvider, waitMs } = this.host.options;
    const until = timeProvider.monotonic() + waitMs;
    return new Promise((settle) => {
      (this.#waiters ??= []).push({ change: this.#changes, until, settle });
    });
  }

  #write(tries: number): void {
    const change = this.#unsent;
    if (change === undefined) return;
    this.#unsent = undefined;
    this.#sent = change;
    const { sessionId, fence } = this.ownership;
    const changes = this.#changes;
    const done = (outcome: SaveOutcome): void => {
      if (outcome === 'fenced') void this.#refused(fence.epoch);
      else this.#taken(changes);
    };
    const failed = (err: unknown): void => this.#failed(err, tries);
    let outcome: MaybePromise<SaveOutcome>;
    try {
      outcome = this.host.store.sessions.save(sessionId, fence, change);
    } catch (err) {
      return failed(err);
    }
    if (outcome instanceof Promise) outcome.then(done, failed);
    else done(outcome);
  }

  #taken(changes: number): void {
    this.#sent = undefined;
    this.#stored = changes;
    this.#settle(undefined, ({ change }) => change <= changes);
    if (this.ownership.left) this.stopSaving();
    else this.#write(0);
  }

  #failed(err: unknown, tries: number): void {
    this.#notSent();
    if (this.ownership.left) return this.stopSaving();
    const { logger, options } = this.host;
    const { sessionId } = this.ownership;
    if (tries === 0) logger.error({ err, sessionId }, 'The session record could not be saved; it is tried again');
    else logger.debug({ err, sessionId }, 'The session record could not be saved again');
    const over = isStoreAway(err) ? options.timeProvider.monotonic() : Infinity;
    this.#settle(err, ({ until }) => over >= until);
    void pause(options.timeProvider, tries).then(() => {
      if (this.ownership.left) this.stopSaving();
      else this.#write(tries + 1);
    });
  }

  async #refused(epoch: number): Promise<void> {
    const isClaimed = await this.ownership.claimedSince(epoch);
    this.#notSent();
    if (isClaimed) return this.#write(0);
    this.ownership.fenced();
    this.#settle(sessionGone(this.ownership.sessionId, 'fenced'), () => true);
  }

  #notSent(): void {
    this.#unsent = this.unsaved;
    this.#sent = undefined;
  }

  /** The session has left: a write that is under way is the last. */
  protected stopSaving(): void {
    if (this.#sent === undefined) this.#settle(this.#gone(), () => true);
  }

  #gone(): unknown {
    return sessionGone(this.ownership.sessionId, this.ownership.leaveReason ?? 'closed');
  }

  #settle(failure: unknown, ends: (waiter: Waiter) => boolean): void {
    if (this.#waiters === undefined) return;
    const ended = this.#waiters.filter(ends);
    this.#waiters = this.#waiters.filter((waiter) => !ended.includes(waiter));
    if (this.#waiters.length === 0) this.#waiters = undefined;
    for (const waiter of ended) waiter.settle(failure);
  }
}
