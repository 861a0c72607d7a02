/**
 * The part of a live session that its record holds, and the fenced writes that keep the record up to date. A write that
 * the store refuses means that another instance owns the session: the copy here is dropped.
 *
 *     save ──stored──▶ done
 *        ├──store away──▶ unsaved ──retried until stored──▶ done
 *        └──refused──▶ fenced
 */
import { sessionGone } from '../../errors.ts';
import type { CreateOutcome, MaybePromise, NewRecord, RecordChange, SaveOutcome } from '../../stores/store.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { pause } from './pause.ts';
import { NO_ANSWER, type ServerAnswer } from './server-answer.ts';
import type { SessionHost } from '../session-host.ts';
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
/** Subscriptions past this number work, but a restore does not repeat them. */
const SUBSCRIPTIONS_KEPT = 1_000;

export class RecordKeeper implements SessionHead {
  readonly #host: SessionHost;
  readonly #ownership: SessionOwnership;
  readonly #identity: SessionIdentity;
  #state: DurableState | undefined;
  /** Whether there is a record to write to. */
  #exists: boolean;
  #creating: Promise<unknown> | undefined = undefined;
  #initialized: boolean;
  #logLevel: string | null;
  #subscriptions: Subscriptions | undefined;
  #answer: ServerAnswer;
  #getPrimed: boolean;
  #activitySavedAt: number;
  #unsaved: RecordChange | undefined = undefined;
  /** Settles with every save that is under way. */
  #saving: Promise<void> | undefined = undefined;
  /** A save was still waiting for the store when the session left. */
  #refused = false;

  constructor(host: SessionHost, owner: SessionOwnership, identity: SessionIdentity, kept: SessionRecord | undefined) {
    this.#host = host;
    this.#ownership = owner;
    this.#identity = identity;
    this.#exists = kept !== undefined;
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
  }

  isSubscribed(uri: string): boolean {
    return this.#subscriptions?.has(uri) ?? false;
  }

  get exists(): boolean {
    return this.#exists;
  }

  /** Settles when the record is stored, or could not be. `undefined`: it is not being stored. */
  get creating(): Promise<unknown> | undefined {
    return this.#creating;
  }

  /** Stores the record. A change that is made before it is stored is saved after it. */
  async create(store: (record: NewRecord) => MaybePromise<CreateOutcome>): Promise<CreateOutcome> {
    const creating = (async () => {
      const outcome = await store(encodeSession(this.toRecord()));
      this.#exists = outcome === 'created';
      return outcome;
    })();
    this.#creating = creating;
    try {
      return await creating;
    } finally {
      this.#creating = undefined;
    }
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
    return new DurableState(initial, this.#host, this.#ownership, this, this.#identity.share);
  }

  #saveHead(): void {
    if (this.#exists) this.save({ head: encodeHead(this) });
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

  /** Does not wait: a write that fails is logged and retried until the store has it. */
  save(change: RecordChange): void {
    if (!this.#exists) return;
    if (this.#unsaved !== undefined) {
      this.#unsaved = merged(this.#unsaved, change);
      return;
    }
    let stored: void | Promise<void>;
    try {
      stored = this.saveOrThrow(change)?.catch((err: unknown) => this.#saveLater(change, err));
    } catch (err) {
      return this.#saveLater(change, err);
    }
    if (stored === undefined) return;
    // Earlier saves may still be under way: a later save must not hide them.
    const saving: Promise<void> = Promise.all([this.#saving, stored]).then(() => {
      if (this.#saving === saving) this.#saving = undefined;
    });
    this.#saving = saving;
  }

  /** Whether the store does not hold every change yet. */
  get saving(): boolean {
    return this.#saving !== undefined || this.#unsaved !== undefined;
  }

  /**
   * Resolves when the saves that began before this call are stored; later saves are awaited by their own callers.
   * `false`: that takes too long, or the session left first.
   */
  async saved(): Promise<boolean> {
    await this.#saving;
    const { timeProvider, waitMs } = this.#host.options;
    const until = timeProvider.monotonic() + waitMs;
    for (
      let tries = 0;
      this.#unsaved !== undefined && !this.#ownership.left && timeProvider.monotonic() < until;
      tries++
    )
      await this.#pause(tries);
    return this.#unsaved === undefined && !this.#refused;
  }

  /** Changes that the store could not take yet. */
  get unsaved(): RecordChange | undefined {
    const { head, fields } = this.#unsaved ?? {};
    if (head === undefined && fields === undefined) return this.#unsaved;
    // A later change of the same part may be stored already, so a retry writes the present values.
    const present = Object.fromEntries((this.#subscriptions?.list() ?? []).map(subscriptionField));
    const now = Object.keys(fields ?? {}).map((name) => [name, present[name] ?? null] as const);
    return {
      ...this.#unsaved,
      ...(head !== undefined && { head: encodeHead(this) }),
      ...(fields !== undefined && { fields: Object.fromEntries(now) }),
    };
  }

  #saveLater(change: RecordChange, err: unknown): void {
    if (this.#ownership.left) {
      this.#refused = true;
      return;
    }
    const { id: sessionId } = this.#identity;
    this.#host.logger.error({ err, sessionId }, 'The session record could not be saved; it is tried again');
    const waits = this.#unsaved !== undefined;
    this.#unsaved = merged(change, this.#unsaved);
    if (!waits) void this.#saveAgain();
  }

  #pause(tries: number): Promise<void> {
    return pause(this.#host.options.timeProvider, tries);
  }

  /** Until the session leaves, because only this copy knows the changes. */
  async #saveAgain(): Promise<void> {
    for (let tries = 0; this.#unsaved !== undefined; tries++) {
      await this.#pause(tries);
      if (this.#ownership.left) {
        this.#refused = true;
        return;
      }
      const change = this.#unsaved;
      try {
        await this.saveOrThrow(this.unsaved ?? change);
        // A change that arrived during the write has replaced this one, and the next write carries it.
        if (this.#unsaved === change) this.#unsaved = undefined;
      } catch (err) {
        this.#host.logger.debug({ err, sessionId: this.#identity.id }, 'The session record could not be saved again');
      }
    }
  }

  /** One write. Throws when the store does not answer, or when another instance owns the session. */
  saveOrThrow(change: RecordChange): void | Promise<void> {
    const { sessionId, fence, leaveReason } = this.#ownership;
    if (leaveReason !== undefined) throw sessionGone(sessionId, leaveReason);
    const outcome = this.#host.store.sessions.save(sessionId, fence, change);
    const check = (written: SaveOutcome): void | Promise<void> =>
      written === 'fenced' ? this.#refusedUnder(fence.epoch, change) : undefined;
    return outcome instanceof Promise ? outcome.then(check) : check(outcome);
  }

  async #refusedUnder(epoch: number, change: RecordChange): Promise<void> {
    if (await this.#ownership.claimedSince(epoch)) return this.saveOrThrow(change);
    this.#ownership.fenced();
    throw sessionGone(this.#identity.id, 'fenced');
  }
}
