/** The part of a live session that its record holds. `record-writer.ts` brings its changes into the store. */
import type { CreateOutcome, MaybePromise, NewRecord } from '../../stores/store.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { NO_ANSWER, type ServerAnswer } from './server-answer.ts';
import type { SessionHost } from '../session-host.ts';
import { RecordWriter } from './record-writer.ts';
import {
  encodeHead,
  encodeSession,
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
/** Subscriptions past this number work, but a restore does not repeat them. */
const SUBSCRIPTIONS_KEPT = 1_000;

export class RecordKeeper extends RecordWriter implements SessionHead {
  readonly #identity: SessionIdentity;
  #state: DurableState | undefined;
  #initialized: boolean;
  #logLevel: string | null;
  #subscriptions: Subscriptions | undefined;
  #answer: ServerAnswer;
  #getPrimed: boolean;
  #activitySavedAt: number;

  constructor(host: SessionHost, owner: SessionOwnership, identity: SessionIdentity, kept: SessionRecord | undefined) {
    super(host, owner, kept !== undefined);
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
    return (this.#subscriptions ??= new Subscriptions(this.host.held.sessions, this.#identity.share));
  }

  /** What state and subscriptions take of the memory budget. */
  get charged(): number {
    return (this.#state?.charged ?? 0) + (this.#subscriptions?.charged ?? 0);
  }

  /** The session leaves. */
  release(): void {
    this.#state?.release();
    this.#subscriptions?.release();
    this.stopSaving();
  }

  isSubscribed(uri: string): boolean {
    return this.#subscriptions?.has(uri) ?? false;
  }

  /** Stores the record. A change that is made before it is stored is saved after it. */
  create(store: (record: NewRecord) => MaybePromise<CreateOutcome>): Promise<CreateOutcome> {
    return this.storeNew(() => store(encodeSession(this.toRecord())));
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
    if (this.subscriptions.size < SUBSCRIPTIONS_KEPT && this.subscriptions.add(uri))
      this.#saveField(subscriptionField(uri));
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
    return new DurableState(initial, this.host, this.ownership, this, this.#identity.share);
  }

  #saveHead(): void {
    this.save({ head: encodeHead(this) });
  }

  #saveField([name, value]: readonly [name: string, value: string | null]): void {
    this.save({ fields: { [name]: value } });
  }

  toRecord(): SessionRecord {
    const { id, user, handshake, createdAt } = this.#identity;
    const { epoch, owner } = this.ownership;
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
    const { idleTimeoutMs, timeProvider } = this.host.options;
    // Another instance with other options may have stored a record that never expires.
    const idleMs = expiresInMs === null ? Infinity : Math.max(0, idleTimeoutMs - expiresInMs);
    this.#activitySavedAt = timeProvider.monotonic() - idleMs;
  }

  /** Saves that the session was in use `idleMs` ago. */
  saveActivity(idleMs: number): void {
    const { timeProvider } = this.host.options;
    this.#activitySavedAt = timeProvider.monotonic() - idleMs;
    this.save({ stamp: Math.round(timeProvider.now() - idleMs), expiresInMs: this.host.expiresInMs(idleMs) });
  }
}
