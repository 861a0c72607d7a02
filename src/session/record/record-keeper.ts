/**
 * The part of a live session that its record holds, and its changes on their way to the store. One write is under way at
 * a time, and the changes that come during it go together into the next one: the last change of each part wins, whatever
 * the store does with writes.
 *
 *     unsent ──write──▶ sent ──stored──▶ done
 *       ▲                ├──store away──▶ unsent again, below the later changes; retried until the session leaves
 *       ╰────────────────┴──refused──▶ unsent again, under a later claim of this instance; else the copy is fenced
 *
 * What a session has not stored when it leaves is in `unsaved`, for the write that gives the session back.
 */
import { sessionGone } from '../../errors.ts';
import type { CreateOutcome, MaybePromise, NewRecord, RecordChange, SaveOutcome } from '../../stores/store.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { NO_ANSWER, type ServerAnswer } from './server-answer.ts';
import type { SessionHost } from '../session-host.ts';
import { isStoreAway, pause } from './pause.ts';
import {
  encodeHead,
  encodeSession,
  merged,
  type SessionHead,
  type SessionIdentity,
  type SessionRecord,
  subscriptionField,
  unsubscription,
} from './session-record.ts';
import { DurableState } from './state.ts';
import { Subscriptions } from './subscriptions.ts';

/** Shared by the records of all sessions without state. */
const NO_STATE: SessionRecord['state'] = Object.freeze({});
const NO_SUBSCRIPTIONS: SessionRecord['subscriptions'] = Object.freeze([]);

export class RecordKeeper implements SessionHead {
  readonly #host: SessionHost;
  readonly #ownership: SessionOwnership;
  readonly #identity: SessionIdentity;
  #state: DurableState | undefined;
  #initialized: boolean;
  #logLevel: string | null;
  #subscriptions: Subscriptions | undefined;
  #answer: ServerAnswer;
  #getPrimed: boolean;
  #activitySavedAt: number;
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

  constructor(host: SessionHost, owner: SessionOwnership, identity: SessionIdentity, kept: SessionRecord | undefined) {
    this.#host = host;
    this.#ownership = owner;
    this.#phase = kept === undefined ? 'new' : 'stored';
    this.#identity = identity;
    this.#initialized = kept?.initialized ?? false;
    this.#logLevel = kept?.logLevel ?? null;
    this.#subscriptions = kept?.subscriptions.length
      ? new Subscriptions(host.held.sessions, identity.share, kept.subscriptions)
      : undefined;
    this.#answer = kept?.answer ?? NO_ANSWER;
    this.#getPrimed = kept?.getPrimed ?? false;
    this.#activitySavedAt = host.options.timeProvider.monotonic();
    this.#state = kept === undefined || Object.keys(kept.state).length === 0 ? undefined : this.#openState(kept.state);
  }

  get version(): string {
    return this.#identity.version;
  }

  /** Whether `notifications/initialized` has arrived. */
  get initialized(): boolean {
    return this.#initialized;
  }

  /** The server's answer to `initialize`. */
  get answer(): ServerAnswer {
    return this.#answer;
  }

  /** The level of its client's last `logging/setLevel`; `null`: none. */
  get logLevel(): string | null {
    return this.#logLevel;
  }

  /** Whether the client has had a GET stream. */
  get getPrimed(): boolean {
    return this.#getPrimed;
  }

  /**
   * The newest activity that the record shows, by the monotonic clock. The clocks of other instances may be hours off,
   * so it does not come from an `activeAt` that another instance saved.
   */
  get activitySavedAt(): number {
    return this.#activitySavedAt;
  }

  /** Created on first use, because most clients subscribe to nothing. */
  get subscriptions(): Subscriptions {
    return (this.#subscriptions ??= new Subscriptions(this.#host.held.sessions, this.#identity.share));
  }

  /** What state and subscriptions take of the memory budget. */
  get charged(): number {
    return (this.#state?.charged ?? 0) + (this.#subscriptions?.charged ?? 0);
  }

  /** The session leaves. */
  release(): void {
    this.#state?.release();
    this.#subscriptions?.release();
    this.#stopSaving();
  }

  isSubscribed(uri: string): boolean {
    return this.#subscriptions?.has(uri) ?? false;
  }

  negotiated(answer: ServerAnswer): void {
    this.#answer = answer;
  }

  /** The rebuilt server answered `initialize` differently. */
  answerChanged(answer: ServerAnswer): void {
    this.#answer = answer;
    this.#saveHead();
  }

  setInitialized(): void {
    if (this.#initialized) return;
    this.#initialized = true;
    this.#saveHead();
  }

  setGetPrimed(): void {
    if (this.#getPrimed) return;
    this.#getPrimed = true;
    this.#saveHead();
  }

  setLogLevel(level: string | null): void {
    this.#logLevel = level;
    this.#saveHead();
  }

  subscribe(uri: unknown): void {
    if (typeof uri !== 'string') return;
    if (this.subscriptions.add(uri)) this.#saveField(subscriptionField(uri));
  }

  unsubscribe(uri: unknown): void {
    if (typeof uri === 'string' && this.#subscriptions?.delete(uri)) this.#saveField(unsubscription(uri));
  }

  /** Created on first use, because most sessions keep no state. */
  get state(): DurableState {
    return (this.#state ??= this.#openState(NO_STATE));
  }

  get remakesLists(): boolean {
    return this.#state?.remakesLists === true;
  }

  #openState(initial: SessionRecord['state']): DurableState {
    return new DurableState(initial, this.#host, this.#ownership, this, this.#identity.share);
  }

  #saveHead(): void {
    this.save({ head: encodeHead(this) });
  }

  #saveField([name, value]: readonly [name: string, value: string | null]): void {
    this.save({ fields: { [name]: value } });
  }

  toRecord(): SessionRecord {
    const { id, user, handshake, createdAt } = this.#identity;
    const { epoch, owner } = this.#ownership;
    return {
      version: this.version,
      initialized: this.#initialized,
      getPrimed: this.#getPrimed,
      logLevel: this.#logLevel,
      answer: this.#answer,
      id,
      epoch,
      owner,
      user: user ?? null,
      handshake,
      subscriptions: this.#subscriptions?.list() ?? NO_SUBSCRIPTIONS,
      state: this.#state?.toRecord() ?? NO_STATE,
      createdAt,
      activeAt: createdAt,
    };
  }

  /** After a restore: the record expires in `expiresInMs`. */
  restored(expiresInMs: number | null): void {
    const { idleTimeoutMs, timeProvider } = this.#host.options;
    // Another instance with other options may have stored a record that never expires.
    const idleMs = expiresInMs === null ? Infinity : Math.max(0, idleTimeoutMs - expiresInMs);
    this.#activitySavedAt = timeProvider.monotonic() - idleMs;
  }

  /** Saves that the session was in use `idleMs` ago. */
  saveActivity(idleMs: number): void {
    const { timeProvider } = this.#host.options;
    this.#activitySavedAt = timeProvider.monotonic() - idleMs;
    this.save({ stamp: Math.round(timeProvider.now() - idleMs), expiresInMs: this.#host.expiresInMs(idleMs) });
  }

  // ——— on the way to the store ———

  /** Whether the store does not hold every change yet. */
  get saving(): boolean {
    return this.#sent !== undefined || this.#unsent !== undefined;
  }

  /** Changes that the store may not have. */
  get unsaved(): RecordChange | undefined {
    return this.#sent === undefined ? this.#unsent : merged(this.#sent, this.#unsent);
  }

  /** Stores the record with every change so far. A change that is made before it is stored is saved after it. */
  async create(store: (record: NewRecord) => MaybePromise<CreateOutcome>): Promise<CreateOutcome> {
    this.#phase = 'creating';
    let outcome: CreateOutcome | undefined;
    try {
      return (outcome = await store(encodeSession(this.toRecord())));
    } finally {
      this.#phase = outcome === 'created' ? 'stored' : 'new';
      if (outcome === 'created') this.#write(0);
    }
  }

  /** Does not wait: a write that fails is logged and retried until the store has it. */
  save(change: RecordChange): void {
    if (this.#phase === 'new') return;
    this.#changes += 1;
    if (this.#ownership.left) return;
    const isIdle = !this.saving;
    this.#unsent = this.#unsent === undefined ? change : merged(this.#unsent, change);
    if (isIdle && this.#phase === 'stored') this.#write(0);
  }

  /**
   * Resolves when the store has every change so far, with `undefined`. Else with the error: that of a store that is away
   * after `waitMs`, any other at once.
   */
  async saved(): Promise<unknown> {
    const { timeProvider, waitMs } = this.#host.options;
    const change = this.#changes;
    const until = timeProvider.monotonic() + waitMs;
    while (this.#stored < change) {
      if (this.#ownership.left && this.#sent === undefined) return this.#gone();
      const failure = await new Promise<unknown>((tell) => (this.#waiting ??= []).push(tell));
      if (failure !== undefined && (!isStoreAway(failure) || timeProvider.monotonic() >= until)) return failure;
    }
    return undefined;
  }

  #write(tries: number): void {
    const change = this.#unsent;
    if (change === undefined) return;
    this.#unsent = undefined;
    this.#sent = change;
    const { sessionId, fence } = this.#ownership;
    const changes = this.#changes;
    const done = (outcome: SaveOutcome): void => {
      if (outcome === 'fenced') void this.#refused(fence.epoch);
      else this.#taken(changes);
    };
    const failed = (err: unknown): void => this.#failed(err, tries);
    let outcome: MaybePromise<SaveOutcome>;
    try {
      outcome = this.#host.store.sessions.save(sessionId, fence, change);
    } catch (err) {
      return failed(err);
    }
    if (outcome instanceof Promise) outcome.then(done, failed);
    else done(outcome);
  }

  #taken(changes: number): void {
    this.#sent = undefined;
    this.#stored = changes;
    this.#tell(undefined);
    if (this.#ownership.left) this.#stopSaving();
    else this.#write(0);
  }

  #failed(err: unknown, tries: number): void {
    this.#notSent();
    if (this.#ownership.left) return this.#stopSaving();
    const { logger, options } = this.#host;
    const { sessionId } = this.#ownership;
    if (tries === 0) logger.error({ err, sessionId }, 'The session record could not be saved; it is tried again');
    else logger.debug({ err, sessionId }, 'The session record could not be saved again');
    this.#tell(err);
    void pause(options.timeProvider, tries).then(() => {
      if (this.#ownership.left) this.#stopSaving();
      else this.#write(tries + 1);
    });
  }

  async #refused(epoch: number): Promise<void> {
    const isClaimed = await this.#ownership.claimedSince(epoch);
    this.#notSent();
    if (isClaimed) return this.#write(0);
    this.#ownership.fenced();
    this.#tell(sessionGone(this.#ownership.sessionId, 'fenced'));
  }

  #notSent(): void {
    this.#unsent = this.unsaved;
    this.#sent = undefined;
  }

  /** The session has left: a write that is under way is the last. */
  #stopSaving(): void {
    if (this.#sent === undefined) this.#tell(this.#gone());
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
