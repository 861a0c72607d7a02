/**
 * The live sessions of one instance, and their ends.
 *
 * Idle sessions are kept in the order in which they became idle: the sweep (`sweep.ts`) looks at the oldest first, and
 * no session needs a timer. A session that ends first leaves the registry. Requests for it then wait for `closing`, and
 * find its end in the store.
 */
import type { Authorizer } from './authorizer.ts';
import type { EventEmitter } from 'node:events';
import { tooManySessions } from '../errors.ts';
import { LargeAnswers } from '../http/large-answers.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { isEnded, type OpenStore, type Ownership as StoredOwnership, type WriteOutcome } from '../stores/store.ts';
import type { EndReason, Logger, RestoreCause, SessionEvent, SessionEventMap, SessionEventName } from '../types.ts';
import { ClaimQueue } from './claim-queue.ts';
import { EndHook } from './end-hook.ts';
import { IdleList } from './idle-list.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Ownership } from './ownership.ts';
import type { LiveSession, LiveSessionHost } from './session.ts';
import { HibernatedIndex } from './hibernated-index.ts';
import { ACTIVE_PART, Sweep, SWEEP_MS, type SweptSessions } from './sweep.ts';
import type { MemoryUse } from '../http/slow-readers.ts';
import { HeldBytes } from './held-bytes.ts';
import type { SharedLists } from './shared-lists.ts';
import { UserShares } from './user-shares.ts';

type SessionEvents = EventEmitter<SessionEventMap>;

export interface RegistryOptions {
  /** Whether other processes may own sessions of the store. */
  readonly guarded: boolean;
  readonly durable: boolean;
  readonly authorizer?: Authorizer | undefined;
  readonly lists?: SharedLists | undefined;
  /** Whether this instance has a valid lease. */
  valid(): boolean;
  /** Whether every instance of the deployment reads event ids with suffixes. */
  idSuffixes(): boolean;
  /** The id of this instance for which sessions are claimed. */
  owner(): string;
  readonly memory: MemoryUse;
  /** Another instance took over a session although the lease of this instance seemed valid. */
  takenOver(): void;
  readonly lifecycle: Lifecycle;
}

export class Registry implements LiveSessionHost, SweptSessions {
  readonly options: ResolvedOptions;
  readonly logger: Logger;
  readonly store: OpenStore;
  readonly guarded: boolean;
  readonly largeAnswers: LargeAnswers;
  readonly authorizer: Authorizer | undefined;
  readonly lists: SharedLists | undefined;
  readonly hibernated: HibernatedIndex;
  readonly durable: boolean;
  readonly #claims: ClaimQueue;
  readonly #takenOver: () => void;
  readonly #lifecycle: Lifecycle;
  readonly #idSuffixes: () => boolean;
  readonly #events: SessionEvents;
  readonly #live = new Map<string, LiveSession>();
  /** In the order in which they became idle. */
  readonly idle = new IdleList<LiveSession>();
  readonly shares = new UserShares();
  readonly held: HeldBytes;
  readonly memory: MemoryUse;
  readonly #closing = new Map<string, Promise<void>>();
  /**
   * Writes that the store did not take when a session left. Until it takes them, the record names an owner without a
   * copy.
   */
  readonly #owed = new Map<string, () => Promise<unknown>>();
  readonly #sweep: Sweep;
  readonly #endHook: EndHook;
  /** Places of `limits.sessions` taken by sessions that are being opened and by 2024-11-05 connections. */
  #reserved = 0;

  constructor(
    options: ResolvedOptions,
    store: OpenStore,
    { guarded, durable, memory, authorizer, lists, valid, idSuffixes, owner, takenOver, lifecycle }: RegistryOptions,
    events: SessionEvents,
  ) {
    this.#events = events;
    this.options = options;
    this.logger = options.logger;
    this.largeAnswers = new LargeAnswers(options.logger);
    this.store = store;
    this.guarded = guarded;
    this.authorizer = authorizer;
    this.lists = lists;
    this.durable = durable;
    this.memory = memory;
    this.held = new HeldBytes(memory);
    this.#takenOver = takenOver;
    this.#lifecycle = lifecycle;
    this.#idSuffixes = idSuffixes;
    this.hibernated = new HibernatedIndex(options.timeProvider.now());
    this.#endHook = new EndHook(options);
    this.#sweep = new Sweep(this);
    this.#claims = new ClaimQueue({
      store: store.sessions,
      logger: options.logger,
      owner,
      valid,
      live: () => this.#ownerships(),
      isLive: (ownership) => this.#sessionOf(ownership) !== undefined,
      claimed: (ownership) => this.#reclaimed(ownership),
      lost: (ownership) => this.fenced(ownership),
    });
  }

  *#ownerships(): Generator<Ownership> {
    for (const { ownership } of this.#live.values()) yield ownership;
  }

  /** `undefined`: that copy is not live. */
  #sessionOf(ownership: Ownership): LiveSession | undefined {
    const session = this.#live.get(ownership.sessionId);
    return session?.ownership === ownership ? session : undefined;
  }

  get othersServe(): boolean {
    return this.#lifecycle.othersServe;
  }

  get idSuffixes(): boolean {
    return this.#idSuffixes();
  }

  get count(): number {
    return this.#live.size;
  }

  get(id: string): LiveSession | undefined {
    return this.#live.get(id);
  }

  values(): IterableIterator<LiveSession> {
    return this.#live.values();
  }

  /** Resolves when a session that is leaving has left. */
  closing(id: string): Promise<void> | undefined {
    return this.#closing.get(id);
  }

  /**
   * Reserves space for one more session, after ending (or hibernating) idle sessions past the limit. Call the returned
   * function once the session is live, or was not made.
   */
  async reserve(): Promise<() => void> {
    const release = await this.takePlace();
    try {
      if (this.#sweep.isFull) await this.#sweep.makeRoom();
    } catch (cause) {
      release();
      throw cause;
    }
    return release;
  }

  /**
   * Takes one place of `limits.sessions`, on a durable store by hibernating an idle session if there is none. Call the
   * returned function to give it back.
   */
  async takePlace(): Promise<() => void> {
    const { sessions } = this.options.limits;
    if (this.#live.size + this.#reserved >= sessions && this.durable) await this.#sweep.hibernateOne();
    if (this.#live.size + this.#reserved >= sessions) throw tooManySessions(sessions);
    this.#reserved += 1;
    let held = true;
    return () => {
      if (held) this.#reserved -= 1;
      held = false;
    };
  }

  /** `cause`: why a session was restored; `undefined`: it was opened here. */
  add(session: LiveSession, cause?: RestoreCause, address?: string): void {
    this.#live.set(session.id, session);
    this.shares.add(session, address);
    if (session.idle) this.becameIdle(session);
    if (cause !== undefined) this.#sweep.keepFromExpiring(session);
    if (cause === undefined) this.#emit('opened', session.id, {});
    else this.#emit('restored', session.id, { cause });
  }

  // ——— SessionHost ———

  /**
   * How long the record of a session lasts that was in use `idleMs` ago. Late enough that a living owner always ends
   * the session first: it saves activity coarsely and sweeps every few seconds.
   */
  expiresInMs(idleMs = 0): number | null {
    const { idleTimeoutMs } = this.options;
    if (!Number.isFinite(idleTimeoutMs)) return null;
    return Math.ceil(idleTimeoutMs + idleTimeoutMs / ACTIVE_PART + 2 * SWEEP_MS - idleMs);
  }

  leaseValid(ownership: Ownership): boolean {
    return this.#claims.leaseValid(ownership) || this.#sessionOf(ownership) === undefined;
  }

  queueUntilLeaseValid(ownership: Ownership): void {
    this.#claims.wait(ownership);
  }

  claimsSettled(ownership: Ownership): Promise<unknown> | undefined {
    return this.#claims.settled(ownership);
  }

  /** This instance has a valid lease. Under a new id it begins to claim its live sessions. */
  valid(): void {
    this.#claims.extended();
  }

  becameActive(session: LiveSession): void {
    this.idle.delete(session.idleEntry);
  }

  becameIdle(session: LiveSession): void {
    if (this.#live.get(session.id) !== session) return;
    this.idle.add(session.idleEntry, this.options.timeProvider.monotonic());
  }

  /** Counts a POST without requests (notifications, answers) as activity. */
  touch(session: LiveSession): void {
    if (session.idle) this.becameIdle(session);
  }

  fenced(ownership: Ownership): void {
    const session = this.#sessionOf(ownership);
    if (session === undefined || !this.#remove(session)) return;
    this.logger.warn({ sessionId: session.id }, 'Another instance owns this session now; the copy here is dropped');
    void this.#track(session.id, session.leave('fenced'));
    this.#emit('fenced', session.id, { reason: 'fenced' });
    this.#takenOver();
  }

  serverClosed(session: LiveSession): void {
    if (this.#live.get(session.id) === session) void this.end(session, 'server_closed');
    else void session.leave('server_closed');
  }

  /** Claims a session that was made when this instance had another id. `false`: another instance owns it. */
  claimAgain(session: LiveSession): Promise<boolean> {
    return this.#claims.claim(session.ownership);
  }

  /** A claim of this instance that is under way would overtake the last write of a session that leaves. */
  #claimsKnown({ ownership }: LiveSession): Promise<unknown> | undefined {
    return this.#claims.settled(ownership)?.catch(() => {});
  }

  #reclaimed(ownership: Ownership): void {
    if (this.#sessionOf(ownership) !== undefined) this.#emit('restored', ownership.sessionId, { cause: 'reclaim' });
  }

  // ——— leaving ———

  /**
   * Ends a live session for ever. Resolves when it is torn down. `false`: the session has left, but this call did not
   * end it, because it was leaving already, another instance owns it, or the store did not take the end. Look for its
   * record.
   */
  async end(session: LiveSession, reason: EndReason): Promise<boolean> {
    if (!this.#remove(session)) {
      await (this.#closing.get(session.id) ?? session.leave(reason));
      return false;
    }
    let ended = false;
    const ending = this.#end(session, reason).then((stored) => {
      ended = stored;
    });
    await this.#track(session.id, ending);
    return ended;
  }

  async #end(session: LiveSession, reason: EndReason): Promise<boolean> {
    let outcome: Awaited<ReturnType<OpenStore['sessions']['end']>> | 'failed' = 'failed';
    const known = this.#claimsKnown(session);
    if (known !== undefined) await known;
    const { fence } = session.ownership;
    try {
      outcome = await this.store.sessions.end(session.id, fence, reason);
    } catch (cause) {
      this.logger.error({ err: cause, sessionId: session.id, reason }, 'The end of a session could not be stored');
      // The caller of DELETE or `terminate` gets an error and retries.
      if (reason !== 'deleted' && reason !== 'terminated')
        this.#owed.set(session.id, () => this.endRecord(session.id, fence, reason));
    }
    const why = outcome === 'fenced' ? 'fenced' : reason;
    await session.leave(why);
    if (outcome === 'failed') return false;
    if (outcome === 'fenced') this.#emit('fenced', session.id, { reason: 'fenced' });
    else this.#emit('ended', session.id, { reason });
    if (outcome === 'fenced') {
      this.#takenOver();
      return false;
    }
    this.ended(session.id, reason);
    return true;
  }

  /**
   * Ends a session that is not live here. The caller has found that its owner does not serve it. `false`: the record
   * has changed since, or has ended.
   */
  async endRecord(id: string, from: StoredOwnership, reason: EndReason): Promise<boolean> {
    this.hibernated.delete(id);
    if ((await this.store.sessions.end(id, from, reason)) !== 'ended') return false;
    this.#emit('ended', id, { reason });
    this.ended(id, reason);
    return true;
  }

  /** Ends a session without a living owner. `false`: it has a living owner, or has ended. */
  async endOwnerless(id: string, reason: EndReason): Promise<boolean> {
    const { instances, sessions } = this.store;
    const record = await sessions.read(id);
    if (record === undefined || isEnded(record)) return false;
    if (record.owner !== null && (await instances.read(record.owner)) !== undefined) return false;
    return this.endRecord(id, record, reason);
  }

  /** Calls the user's migration handler. Only `endHooksSettled` waits for it. */
  ended(id: string, reason: EndReason): void {
    this.#endHook.ended(id, reason);
  }

  /** Resolves when the user's migration handler has returned for every end so far, or after `ms`. */
  endHooksSettled(ms: number): Promise<void> {
    return this.#endHook.settled(ms);
  }

  /** Gives a session back to the store for another instance. `why` decides the error of its running requests. */
  release(session: LiveSession, why: 'released' | 'closed'): Promise<void> {
    if (!this.#remove(session)) return this.#closing.get(session.id) ?? Promise.resolve();
    return this.#track(session.id, this.#release(session, why));
  }

  async #release(session: LiveSession, why: 'released' | 'closed'): Promise<void> {
    await session.leave(why);
    await this.#giveBack(session, 0);
    this.#emit('released', session.id, { reason: why });
  }

  /**
   * Drops the copy of an idle session; its record stays. A request that arrives during this waits, and wakes the
   * session.
   */
  hibernate(session: LiveSession): Promise<void> {
    const idleMs = this.#sweep.idleMs(session);
    if (!this.#remove(session)) return this.#closing.get(session.id) ?? Promise.resolve();
    return this.#track(session.id, this.#hibernate(session, idleMs));
  }

  async #hibernate(session: LiveSession, idleMs: number): Promise<void> {
    const { timeProvider: time } = this.options;
    const activeAt = Math.round(time.now() - idleMs);
    await session.leave('hibernated');
    if ((await this.#giveBack(session, idleMs, activeAt)) === 'fenced') {
      this.#emit('fenced', session.id, { reason: 'fenced' });
      return;
    }
    this.hibernated.add(session.id, activeAt);
    this.#emit('hibernated', session.id, { reason: 'hibernated' });
  }

  /**
   * `idleMs`: how long ago the session was in use. A release that is retried later takes nothing from its idle timeout.
   */
  async #giveBack(session: LiveSession, idleMs: number, activeAt?: number): Promise<WriteOutcome | 'failed'> {
    const { idleTimeoutMs, timeProvider: time } = this.options;
    const patch = { activeAt: activeAt ?? Math.round(time.now() - idleMs) };
    const activeSince = time.monotonic() - idleMs;
    const known = this.#claimsKnown(session);
    if (known !== undefined) await known;
    const { fence } = session.ownership;
    const release = async (): Promise<WriteOutcome> => {
      const expiresInMs = Number.isFinite(idleTimeoutMs)
        ? Math.ceil(activeSince + idleTimeoutMs - time.monotonic())
        : null;
      return this.store.sessions.release(session.id, fence, { ...session.record.unsaved, ...patch, expiresInMs });
    };
    try {
      return await release();
    } catch (cause) {
      this.logger.error({ err: cause, sessionId: session.id }, 'A session could not be released; it is tried again');
      this.#owed.set(session.id, release);
      return 'failed';
    }
  }

  /**
   * Repeats the writes that the store did not take. A session that another instance owns by now is not disturbed: its
   * fence is newer.
   */
  async settle(): Promise<void> {
    for (const [id, write] of this.#owed) {
      await write();
      this.#owed.delete(id);
    }
  }

  #remove(session: LiveSession): boolean {
    if (this.#live.get(session.id) !== session) return false;
    this.#live.delete(session.id);
    this.shares.delete(session);
    this.held.delete(session);
    this.idle.delete(session.idleEntry);
    return true;
  }

  #track(id: string, leaving: Promise<void>): Promise<void> {
    const left = (): void => {
      if (this.#closing.get(id) === tracked) this.#closing.delete(id);
    };
    const tracked = leaving.then(left, (cause: unknown) => {
      this.logger.error({ err: cause, sessionId: id }, 'A session could not be torn down');
      left();
    });
    this.#closing.set(id, tracked);
    return tracked;
  }

  #emit<Name extends SessionEventName>(
    name: Name,
    sessionId: string,
    more: Omit<SessionEventMap[Name][0], keyof SessionEvent>,
  ): void {
    const event = { sessionId, at: this.options.timeProvider.now(), ...more };
    try {
      (this.#events as EventEmitter).emit(name, event);
    } catch (cause) {
      this.logger.error({ err: cause, event: name }, 'A listener of sessions.events threw');
    }
  }

  stop(): void {
    this.#sweep.stop();
  }
}
