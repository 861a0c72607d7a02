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
import type { CreateOutcome, MaybePromise, NewRecord, RecordChange } from '../../stores/store.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { NO_ANSWER } from './server-answer.ts';
import type { SessionHost } from '../session-host.ts';
import { isStoreAway, pause } from './pause.ts';
import {
  encodeHead,
  encodeSession,
  fieldName,
  merged,
  type SessionHead,
  type SessionIdentity,
  type SessionRecord,
} from './session-record.ts';
import { DurableState } from './state.ts';
import { Subscriptions } from './subscriptions.ts';

/** Shared by the records of all sessions without state. */
const NO_STATE: SessionRecord['state'] = Object.freeze({});

export class RecordKeeper {
  readonly #host: SessionHost;
  readonly #ownership: SessionOwnership;
  readonly #identity: SessionIdentity;
  #head: SessionHead;
  #state: DurableState | undefined;
  #subscriptions: Subscriptions | undefined;
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
    this.#head = {
      version: kept?.version ?? identity.handshake.params.protocolVersion,
      initialized: kept?.initialized ?? false,
      logLevel: kept?.logLevel ?? null,
      answer: kept?.answer ?? NO_ANSWER,
    };
    for (const uri of kept?.subscriptions ?? []) this.subscriptions.add(uri);
    this.#activitySavedAt = host.options.timeProvider.monotonic();
    this.#state = kept === undefined || Object.keys(kept.state).length === 0 ? undefined : this.#openState(kept.state);
  }

  get head(): SessionHead {
    return this.#head;
  }

  /** Saves what differs from the present head. */
  change(members: Partial<SessionHead>): void {
    const before = this.#head;
    this.#head = { ...before, ...members };
    if (this.#phase === 'new') return;
    const head = encodeHead(this.#head);
    if (head !== encodeHead(before)) this.save({ head });
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
    // A write that is under way is the last.
    if (this.#sent === undefined) this.#tell(this.#gone());
  }

  get subscribed(): readonly string[] {
    return this.#subscriptions?.list() ?? [];
  }

  isSubscribed(uri: string): boolean {
    return this.#subscriptions?.has(uri) ?? false;
  }

  subscribe(uri: unknown): void {
    if (typeof uri !== 'string') return;
    if (this.subscriptions.add(uri)) this.saveField('u', uri, '1');
  }

  unsubscribe(uri: unknown): void {
    if (typeof uri === 'string' && this.#subscriptions?.delete(uri)) this.saveField('u', uri, null);
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

  saveField(kind: 's' | 'u', key: string, value: string | null): void {
    this.save({ fields: { [fieldName(kind, key)]: value } });
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

  /**
   * Stores the record with every change so far. A change that is made before it is stored is saved after it. A session
   * whose record is not stored leaves.
   */
  async create(store: (record: NewRecord) => MaybePromise<CreateOutcome>): Promise<CreateOutcome> {
    this.#phase = 'creating';
    const state = this.#state?.toRecord() ?? NO_STATE;
    const outcome = await store(encodeSession(this.#identity, this.#ownership, this.#head, state));
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
        if (tries === 0) logger.error({ err, sessionId }, 'The session record could not be saved; it is tried again');
        else logger.debug({ err, sessionId }, 'The session record could not be saved again');
        this.#tell(err);
        await pause(options.timeProvider, tries++);
      }
    }
    if (this.#ownership.left) this.#tell(this.#gone());
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
