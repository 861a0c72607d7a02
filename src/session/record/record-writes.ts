/**
 * The changes of one record on their way to the store. One write is under way at a time, and the changes that come
 * during it go together into the next one: the last change of each part wins, whatever the store does with writes.
 *
 *     unsent ──write──▶ sent ──stored──▶ done
 *       ▲                ├──store away──▶ unsent again, below the later changes; retried until the session leaves
 *       ╰────────────────┴──refused──▶ unsent again, under a later claim of this instance; else the copy is fenced
 *
 * What a session has not stored when it leaves is in `unsaved`, for the write that gives the session back.
 */
import { sessionGone } from '../../base/errors.ts';
import type { CreateOutcome, MaybePromise, RecordChange } from '../../stores/store.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import type { SessionHost } from './session-host.ts';
import { isStoreAway, pause } from './pause.ts';
import { merged } from './session-record.ts';

export class RecordWrites {
  readonly #host: SessionHost;
  readonly #ownership: SessionOwnership;
  /** `new`: a change is stored with the record. `creating`: it is stored after the record. */
  #phase: 'new' | 'creating' | 'stored';
  #unsent: RecordChange | undefined = undefined;
  /** The write that is under way. */
  #sent: RecordChange | undefined = undefined;
  /** How many changes there were, and how many of them the store has. */
  #changes = 0;
  #stored = 0;
  /** Each learns how the next write ends. */
  #waiting: Array<(failure: unknown) => void> | undefined = undefined;

  constructor(host: SessionHost, ownership: SessionOwnership, isStored: boolean) {
    this.#host = host;
    this.#ownership = ownership;
    this.#phase = isStored ? 'stored' : 'new';
  }

  /** The record is not stored yet: it will be with every change so far. */
  get isNew(): boolean {
    return this.#phase === 'new';
  }

  /** The session leaves. A write that is under way is the last. */
  release(): void {
    if (this.#sent === undefined) this.#tellGone();
  }

  /** Whether the store does not hold every change yet. */
  get saving(): boolean {
    return this.#sent !== undefined || this.#unsent !== undefined;
  }

  /** Changes that the store may not have. */
  get unsaved(): RecordChange | undefined {
    return this.#sent === undefined ? this.#unsent : merged(this.#sent, this.#unsent);
  }

  /** See `RecordKeeper.create`. */
  async create(store: () => MaybePromise<CreateOutcome>): Promise<CreateOutcome> {
    this.#phase = 'creating';
    const outcome = await store();
    if (outcome === 'exists') return outcome;
    this.#phase = 'stored';
    if (this.#unsent !== undefined) void this.#write();
    return outcome;
  }

  /** Does not wait: a write that fails is logged and retried until the store has it. */
  save(change: RecordChange): void {
    if (this.#phase === 'new') return;
    this.#changes += 1;
    if (this.#ownership.left) return;
    const isIdle = !this.saving;
    this.#unsent = this.#unsent === undefined ? change : merged(this.#unsent, change);
    if (isIdle && this.#phase === 'stored') void this.#write();
  }

  /**
   * Resolves when the store has every change so far, with `undefined`. Else with the error: that of a store that is away
   * after `maxWaitMs`, any other at once.
   */
  async saved(): Promise<unknown> {
    const { timeProvider, maxWaitMs } = this.#host.options;
    const change = this.#changes;
    const until = timeProvider.monotonic() + maxWaitMs;
    while (this.#stored < change) {
      if (this.#ownership.left && this.#sent === undefined) return this.#gone();
      const failure = await new Promise<unknown>((tell) => (this.#waiting ??= []).push(tell));
      if (failure !== undefined && (!isStoreAway(failure) || timeProvider.monotonic() >= until))
        return failure;
    }
    return undefined;
  }

  /** Writes until the store has every change, or the session leaves. A store that answers at once has it on return. */
  async #write(): Promise<void> {
    const { logger, options, store } = this.#host;
    const { sessionId } = this.#ownership;
    for (let tries = 0; this.#unsent !== undefined && !this.#ownership.left;) {
      const { fence } = this.#ownership;
      const changes = this.#changes;
      this.#sent = this.#unsent;
      this.#unsent = undefined;
      try {
        const saved = store.sessions.save(sessionId, fence, this.#sent);
        if ((saved instanceof Promise ? await saved : saved) === 'fenced') {
          if (!(await this.#ownership.claimedSince(fence.epoch))) return this.#fenced();
          this.#notSent();
        } else {
          this.#sent = undefined;
          this.#stored = changes;
          this.#tell(undefined);
        }
        tries = 0;
      } catch (err) {
        this.#notSent();
        if (this.#ownership.left) break;
        if (tries === 0)
          logger.error(
            { err, sessionId },
            'The session record could not be saved; it is tried again',
          );
        else logger.debug({ err, sessionId }, 'The session record could not be saved again');
        this.#tell(err);
        await pause(options.timeProvider, tries++);
      }
    }
    if (this.#ownership.left) this.#tellGone();
  }

  #fenced(): void {
    this.#notSent();
    this.#ownership.fenced();
    this.#tell(sessionGone(this.#ownership.sessionId, 'fenced'));
  }

  #notSent(): void {
    this.#unsent = this.unsaved;
    this.#sent = undefined;
  }

  /** An error costs a twentieth of an `initialize` that ends another session. */
  #tellGone(): void {
    if (this.#waiting !== undefined) this.#tell(this.#gone());
  }

  #gone(): unknown {
    return sessionGone(this.#ownership.sessionId, this.#ownership.leaveReason ?? 'closed');
  }

  /** A write is over. `undefined`: the store has taken it. */
  #tell(failure: unknown): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const tell of waiting ?? []) tell(failure);
  }
}
