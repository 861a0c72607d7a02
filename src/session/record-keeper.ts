/**
 * What of a live session stands in its record, and the fenced writes that keep it there. A write that the store refuses
 * means that somebody else owns the session: the copy here ends.
 */
import { sessionGone, storeAwayForClients } from '../errors.ts';
import type {
  MaybePromise,
  Fence,
  Handshake,
  NewSessionRecord,
  RecordPatch,
  SessionRecord,
  WriteOutcome,
} from '../stores/store.ts';
import { RECORD_VERSION } from '../stores/store.ts';
import type { SessionHost } from './session-host.ts';
import type { LiveSession } from './session.ts';
import { isStoreAway, pause, whileAway } from './pause.ts';
import { DurableState } from './state.ts';

/** Shared by the records of all sessions that have none. */
const NO_STATE: SessionRecord['state'] = Object.freeze({});
const NO_SUBSCRIPTIONS: SessionRecord['subscriptions'] = Object.freeze([]);

export class RecordKeeper {
  readonly #host: SessionHost;
  readonly #session: LiveSession;
  #state: DurableState | undefined;
  /** Whether there is a record to write to. */
  exists: boolean;
  initialized: boolean;
  logLevel: string | null;
  subscriptions: Set<string> | undefined;
  /** JSON of the server's `initialize` result. */
  answerJson: string;
  getPrimed: boolean;
  /**
   * The newest activity that its record shows, by the monotonic clock. The clocks of other instances may be hours off,
   * so it does not come from the `activeAt` that another instance saved.
   */
  activitySavedAt: number;
  #unsaved: RecordPatch | undefined = undefined;
  /** Settles with every save that is under way. */
  #saving: Promise<void> | undefined = undefined;
  /** Changes of `session.state` that wait for the store. */
  #stateWrites: Promise<void> | undefined = undefined;
  /** Something was not stored when the session left. */
  #refused = false;

  constructor(host: SessionHost, session: LiveSession, record: SessionRecord | undefined) {
    this.#host = host;
    this.#session = session;
    this.exists = record !== undefined;
    this.initialized = record?.initialized ?? false;
    this.logLevel = record?.logLevel ?? null;
    this.subscriptions = record?.subscriptions.length ? new Set(record.subscriptions) : undefined;
    this.answerJson = record?.answer ?? '';
    this.getPrimed = record?.getStream ?? false;
    this.activitySavedAt = host.options.timeProvider.monotonic();
    this.#state = record === undefined || isEmpty(record.state) ? undefined : this.#openState(record.state);
  }

  /** Most sessions keep nothing: what they do not use is not made. */
  get state(): DurableState {
    return (this.#state ??= this.#openState(NO_STATE));
  }

  #openState(initial: SessionRecord['state']): DurableState {
    return new DurableState(initial, this.#host.options.limits.stateBytes, this);
  }

  /** A change of `session.state`. */
  storeState(patch: Readonly<Record<string, string | null>>): void | Promise<void> {
    if (!this.exists) return undefined;
    if (this.#stateWrites !== undefined) return this.#storeStateLater(patch);
    try {
      return this.saveOrThrow({ state: patch })?.catch((cause: unknown) => this.#stateRefused(patch, cause));
    } catch (cause) {
      return this.#stateRefused(patch, cause);
    }
  }

  #stateRefused(patch: Readonly<Record<string, string | null>>, cause: unknown): Promise<void> {
    return isStoreAway(cause) ? this.#storeStateLater(patch) : this.#stateFailed(cause);
  }

  /** While the store is away, changes wait for it, one after the other. */
  #storeStateLater(patch: Readonly<Record<string, string | null>>): Promise<void> {
    const { timeProvider: time, waitMs } = this.#host.options;
    const wait = { time, waitMs, stopped: () => this.left };
    const stored = (this.#stateWrites ?? Promise.resolve()).then(() =>
      whileAway(wait, () => this.saveOrThrow({ state: patch })),
    );
    const clear = (): void => {
      if (this.#stateWrites === settled) this.#stateWrites = undefined;
    };
    const settled: Promise<void> = stored.then(clear, clear);
    this.#stateWrites = settled;
    return stored.catch((cause: unknown) => this.#stateFailed(cause));
  }

  /** A handler may hand on what it catches: what only operators should read is in the log. */
  #stateFailed(err: unknown): never {
    const told = storeAwayForClients('session.state', err);
    // Anything else, that the session is somebody else's above all, the handler is told as it is.
    if (told !== err)
      this.#host.logger.warn({ err, sessionId: this.#session.id }, 'A change of session.state could not be stored');
    throw told;
  }

  get fence(): Fence {
    return { epoch: this.#session.epoch, owner: this.#session.owner };
  }

  claimedSince(epoch: number): MaybePromise<boolean> {
    return this.#session.claimedSince(epoch);
  }

  toRecord(handshake: Handshake): NewSessionRecord {
    const { id, epoch, owner, user, version, createdAt } = this.#session;
    return {
      v: RECORD_VERSION,
      id,
      epoch,
      owner,
      user: user ?? null,
      version,
      handshake,
      answer: this.answerJson,
      initialized: this.initialized,
      logLevel: this.logLevel,
      subscriptions: this.subscriptions === undefined ? NO_SUBSCRIPTIONS : [...this.subscriptions],
      state: this.#state?.toRecord() ?? NO_STATE,
      getStream: this.getPrimed,
      createdAt,
      activeAt: createdAt,
    };
  }

  /** Its record lasts that long from now. */
  restored(expiresInMs: number | null): void {
    const { idleTimeoutMs, timeProvider } = this.#host.options;
    // Another instance with other options may have stored a record that never expires.
    const idleMs = expiresInMs === null ? Infinity : Math.max(0, idleTimeoutMs - expiresInMs);
    this.activitySavedAt = timeProvider.monotonic() - idleMs;
  }

  /** The session was in use `idleMs` ago. */
  saveActivity(idleMs: number): void {
    const { timeProvider } = this.#host.options;
    this.activitySavedAt = timeProvider.monotonic() - idleMs;
    this.save({ activeAt: Math.round(timeProvider.now() - idleMs), expiresInMs: this.#host.expiresInMs(idleMs) });
  }

  /** What the store cannot take is logged, and saved again until it is; being fenced ends the copy. */
  save(patch: RecordPatch): void {
    if (!this.exists) return;
    if (this.#unsaved !== undefined) {
      this.#unsaved = { ...this.#unsaved, ...patch };
      return;
    }
    let stored: void | Promise<void>;
    try {
      stored = this.saveOrThrow(patch)?.catch((err: unknown) => this.#saveLater(patch, err));
    } catch (err) {
      return this.#saveLater(patch, err);
    }
    if (stored === undefined) return;
    // Earlier saves may still be under way: a later save must not hide them.
    const saving: Promise<void> = Promise.all([this.#saving, stored]).then(() => {
      if (this.#saving === saving) this.#saving = undefined;
    });
    this.#saving = saving;
  }

  /** Whether something that was saved is not stored yet. */
  get saving(): boolean {
    return this.#saving !== undefined || this.#unsaved !== undefined;
  }

  /**
   * Resolves when every save before this call is stored. `false`: that takes too long, or the session left first. Saves that
   * begin after this call have no part in it: their callers wait for them.
   */
  async saved(): Promise<boolean> {
    await this.#saving;
    const { timeProvider, waitMs } = this.#host.options;
    const until = timeProvider.monotonic() + waitMs;
    for (let tries = 0; this.#unsaved !== undefined && !this.left && timeProvider.monotonic() < until; tries++)
      await this.#pause(tries);
    return this.#unsaved === undefined && !this.#refused;
  }

  /** Its session is not live here any more. */
  get left(): boolean {
    return this.#session.left !== undefined;
  }

  /** What the store could not take yet. */
  get unsaved(): RecordPatch | undefined {
    return this.#unsaved;
  }

  #saveLater(patch: RecordPatch, err: unknown): void {
    if (this.#session.left !== undefined) {
      this.#refused = true;
      return;
    }
    const { id: sessionId } = this.#session;
    this.#host.logger.error({ err, sessionId }, 'The session record could not be saved; it is tried again');
    const waits = this.#unsaved !== undefined;
    this.#unsaved = { ...patch, ...this.#unsaved };
    if (!waits) void this.#saveAgain();
  }

  #pause(tries: number): Promise<void> {
    return pause(this.#host.options.timeProvider, tries);
  }

  async #saveAgain(): Promise<void> {
    for (let tries = 0; this.#unsaved !== undefined; tries++) {
      await this.#pause(tries);
      if (this.#session.left !== undefined) {
        this.#refused = true;
        return;
      }
      const patch = this.#unsaved;
      try {
        await this.saveOrThrow(patch);
        // What came meanwhile is part of another.
        if (this.#unsaved === patch) this.#unsaved = undefined;
      } catch (err) {
        this.#host.logger.debug({ err, sessionId: this.#session.id }, 'The session record could not be saved again');
      }
    }
  }

  saveOrThrow(patch: RecordPatch): void | Promise<void> {
    const session = this.#session;
    if (session.left !== undefined) throw sessionGone(session.id, session.left);
    const { epoch } = session;
    const outcome = this.#host.store.sessions.save(session.id, this.fence, patch);
    const check = (written: WriteOutcome): void | Promise<void> => {
      if (written === 'written') return undefined;
      const ours = session.claimedSince(epoch);
      const then = (again: boolean): void | Promise<void> => {
        if (again) return this.saveOrThrow(patch);
        this.#host.fenced(session);
        throw sessionGone(session.id, 'fenced');
      };
      return ours instanceof Promise ? ours.then(then) : then(ours);
    };
    return outcome instanceof Promise ? outcome.then(check) : check(outcome);
  }
}

/** What a client must list again: everything whose changes the server says it announces. */
export function listChanges(answerJson: string): readonly string[] {
  if (answerJson === lastAnswer) return lastChanges;
  const { capabilities } = JSON.parse(answerJson) as {
    capabilities?: Record<string, { listChanged?: boolean } | undefined>;
  };
  lastAnswer = answerJson;
  lastChanges = ['tools', 'prompts', 'resources'].flatMap((what) =>
    capabilities?.[what]?.listChanged === true ? [`notifications/${what}/list_changed`] : [],
  );
  return lastChanges;
}

/** One factory answers the same for most of its sessions. */
let lastAnswer: string | undefined;
let lastChanges: readonly string[] = [];

function isEmpty(state: SessionRecord['state']): boolean {
  for (const _ in state) return false;
  return true;
}
