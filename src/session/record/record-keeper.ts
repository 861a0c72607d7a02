/** The part of a live session that its record holds. Its changes go to the store by `record-writes.ts`. */
import type { CreateOutcome, MaybePromise, NewRecord } from '../../stores/store.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { NO_ANSWER } from './server-answer.ts';
import type { SessionHost } from './session-host.ts';
import { RecordWrites } from './record-writes.ts';
import {
  encodeHead,
  encodeSession,
  fieldName,
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
  /** The changes of it that the store does not have yet. */
  readonly writes: RecordWrites;

  constructor(
    host: SessionHost,
    owner: SessionOwnership,
    identity: SessionIdentity,
    kept: SessionRecord | undefined,
  ) {
    this.#host = host;
    this.#ownership = owner;
    this.writes = new RecordWrites(host, owner, kept !== undefined);
    this.#identity = identity;
    this.#head = {
      version: kept?.version ?? identity.handshake.params.protocolVersion,
      initialized: kept?.initialized ?? false,
      logLevel: kept?.logLevel ?? null,
      answer: kept?.answer ?? NO_ANSWER,
    };
    for (const uri of kept?.subscriptions ?? []) this.subscriptions.add(uri);
    this.#activitySavedAt = host.options.timeProvider.monotonic();
    this.#state =
      kept === undefined || Object.keys(kept.state).length === 0
        ? undefined
        : this.#openState(kept.state);
  }

  get head(): SessionHead {
    return this.#head;
  }

  /** Saves what differs from the present head. */
  change(members: Partial<SessionHead>): void {
    const before = this.#head;
    this.#head = { ...before, ...members };
    if (this.writes.isNew) return;
    const head = encodeHead(this.#head);
    if (head !== encodeHead(before)) this.writes.save({ head });
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
    return (this.#subscriptions ??= new Subscriptions(
      this.#host.held.sessions,
      this.#identity.share,
    ));
  }

  /** What state and subscriptions take of the memory budget. */
  get charged(): number {
    return (this.#state?.charged ?? 0) + (this.#subscriptions?.charged ?? 0);
  }

  /** The session leaves. */
  release(): void {
    this.#state?.release();
    this.#subscriptions?.release();
    this.writes.release();
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
    this.writes.save({ fields: { [fieldName(kind, key)]: value } });
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
    this.writes.save({
      stamp: Math.round(timeProvider.now() - idleMs),
      expiresInMs: this.#host.expiresInMs(idleMs),
    });
  }

  /**
   * Stores the record with every change so far. A change that is made before it is stored is saved after it. A session
   * whose record is not stored leaves.
   */
  create(store: (record: NewRecord) => MaybePromise<CreateOutcome>): Promise<CreateOutcome> {
    const state = this.#state?.toRecord() ?? NO_STATE;
    return this.writes.create(() =>
      store(encodeSession(this.#identity, this.#ownership, this.#head, state)),
    );
  }
}
