/**
 * The live sessions of one instance: who is here, who is idle, who must go.
 *
 * Idle sessions stand in the order in which they became idle, so the sweep and the idle limit look at the oldest first and
 * no session has a timer of its own. A session that ends leaves the registry before anything else happens; requests for it
 * wait in `closing` and then find its end in the store.
 */
import type { EventEmitter } from 'node:events';
import { tooManySessions } from '../errors.ts';
import type { ResolvedOptions } from '../options.ts';
import type { Fence, OpenStore, WriteOutcome } from '../stores/store.ts';
import { afterTurn } from '../system.ts';
import type { EndReason, Logger, SessionEvent, SessionEventName } from '../types.ts';
import { IdleList } from './idle-list.ts';
import type { LiveSession } from './session.ts';
import type { SessionHost } from './session-host.ts';
import { Sleepers } from './sleepers.ts';

type SessionEvents = EventEmitter<Record<SessionEventName, [SessionEvent]>>;

/** How often idle sessions are looked at. */
export const SWEEP_MS = 5_000;
/** `activeAt` is saved when it is older than this part of the idle timeout. */
const ACTIVE_PART = 10;
/** Ownerless expired records ended in one turn of the event loop. */
const EXPIRED_BATCH = 100;
/** Idle sessions hibernated in one turn of the event loop. */
const HIBERNATED_BATCH = 50;

export interface RegistryOptions {
  /** Other processes may own sessions of the store. */
  readonly guarded: boolean;
  readonly durable: boolean;
  /** Whether this instance has a valid lease. */
  valid(): boolean;
  /** A session was taken over while this instance takes itself for alive. */
  takenOver(): void;
}

export class Registry implements SessionHost {
  readonly options: ResolvedOptions;
  readonly logger: Logger;
  readonly store: OpenStore;
  readonly guarded: boolean;
  readonly sleepers: Sleepers;
  readonly #durable: boolean;
  readonly #valid: () => boolean;
  readonly #takenOver: () => void;
  readonly #events: SessionEvents;
  readonly #live = new Map<string, LiveSession>();
  readonly #idle = new IdleList<LiveSession>();
  readonly #closing = new Map<string, Promise<void>>();
  #opening = 0;
  #evicted = 0;
  #timer: unknown;
  #stopped = false;

  constructor(
    options: ResolvedOptions,
    store: OpenStore,
    { guarded, durable, valid, takenOver }: RegistryOptions,
    events: SessionEvents,
  ) {
    this.#events = events;
    this.options = options;
    this.logger = options.logger;
    this.store = store;
    this.guarded = guarded;
    this.#durable = durable;
    this.#valid = valid;
    this.#takenOver = takenOver;
    this.sleepers = new Sleepers(options.timeProvider.now());
    this.#arm();
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

  /** The end of a session that is leaving. */
  closing(id: string): Promise<void> | undefined {
    return this.#closing.get(id);
  }

  /** What `maxIdleSessionCount` counts: a durable store keeps hibernated sessions out of memory, the memory store does not. */
  get #idleCount(): number {
    return this.#idle.size + (this.#durable ? 0 : this.sleepers.size);
  }

  /** Space for one more session; ends (or hibernates) idle ones past the limit first. Call the returned function when it is made, or not. */
  async reserve(): Promise<() => void> {
    const { sessions } = this.options.limits;
    if (this.#live.size + this.#opening >= sessions) throw tooManySessions(sessions);
    this.#opening += 1;
    const max = this.options.maxIdleSessionCount;
    while (this.#idleCount > 0 && this.#idleCount >= max) await this.#evictOldest();
    let done = false;
    return () => {
      if (!done) this.#opening -= 1;
      done = true;
    };
  }

  add(session: LiveSession, event: 'opened' | 'restored', cause?: NonNullable<SessionEvent['cause']>): void {
    this.#live.set(session.id, session);
    if (session.idle) this.becameIdle(session);
    if (event === 'restored') this.#keepFromExpiring(session);
    this.#emit(event, session.id, cause === undefined ? {} : { cause });
  }

  // ——— SessionHost ———

  /** Late enough that a living owner, who saves activity coarsely and looks every sweep, always ends it first. */
  expiry(activeAt: number): number | null {
    const { idleTimeoutMs } = this.options;
    if (!Number.isFinite(idleTimeoutMs)) return null;
    return Math.ceil(activeAt + idleTimeoutMs + idleTimeoutMs / ACTIVE_PART + 2 * SWEEP_MS);
  }

  serves(session: LiveSession): boolean {
    return this.#valid() || this.#live.get(session.id) !== session;
  }

  becameActive(session: LiveSession): void {
    this.#idle.delete(session);
  }

  becameIdle(session: LiveSession): void {
    if (this.#live.get(session.id) !== session) return;
    session.idleSince = this.options.timeProvider.monotonic();
    this.#idle.add(session);
  }

  /** A request that runs nothing (a notification, an answer) counts as activity too. */
  touch(session: LiveSession): void {
    if (session.idle) this.becameIdle(session);
  }

  fenced(session: LiveSession): void {
    if (!this.#remove(session)) return;
    this.logger.warn({ sessionId: session.id }, 'Another instance owns this session now; the copy here is dropped');
    void this.#track(session.id, session.leave('fenced'));
    this.#emit('fenced', session.id, { reason: 'fenced' });
    this.#takenOver();
  }

  serverClosed(session: LiveSession): void {
    if (this.#live.get(session.id) === session) void this.end(session, 'server_closed');
    else void session.leave('server_closed');
  }

  /**
   * This instance has a new id: what is live here is claimed for it, one by one. What somebody else took meanwhile is
   * dropped.
   */
  async reclaim(owner: string): Promise<void> {
    for (const session of this.#live.values()) {
      if (session.owner !== owner) await this.reclaimOne(session, owner);
    }
  }

  /** Also of one that became live while this instance took its new id. */
  async reclaimOne(session: LiveSession, owner: string): Promise<void> {
    const outcome = await this.store.sessions.claim(session.id, session.epoch, owner);
    if (!outcome.claimed) return this.fenced(session);
    session.reclaimed(outcome.record.epoch, owner);
    this.#emit('restored', session.id, { cause: 'reclaim' });
  }

  // ——— leaving ———

  /**
   * Ends a live session for ever; resolves when all of it is torn down. `false`: it has left, but not ended by this. It is
   * leaving already, or somebody else owns it, or the store could not be told: look for its record.
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
    try {
      outcome = await this.store.sessions.end(session.id, session.record.fence, reason);
    } catch (cause) {
      this.logger.error({ err: cause, sessionId: session.id, reason }, 'The end of a session could not be stored');
    }
    const why = outcome === 'fenced' ? 'fenced' : reason;
    await session.leave(why);
    if (outcome === 'failed') return false;
    this.#emit(outcome === 'fenced' ? 'fenced' : 'ended', session.id, { reason: why });
    if (outcome === 'fenced') {
      this.#takenOver();
      return false;
    }
    await this.ended(session.id, reason);
    return true;
  }

  /** Ends a session that is live nowhere; `false`: it is somebody's by now, or there is nothing to end. */
  async endRecord(id: string, fence: Fence | null, reason: EndReason): Promise<boolean> {
    this.sleepers.delete(id);
    if ((await this.store.sessions.end(id, fence, reason)) !== 'ended') return false;
    this.#emit('ended', id, { reason });
    await this.ended(id, reason);
    return true;
  }

  /** Tells the user's migration handler. */
  async ended(id: string, reason: EndReason): Promise<void> {
    try {
      await this.options.sessionMigrationHandler?.onSessionEnded?.(id, reason);
    } catch (cause) {
      this.logger.error({ err: cause, sessionId: id, reason }, 'sessionMigrationHandler.onSessionEnded threw');
    }
  }

  /** Gives a session back to the store for another instance; `why` is what its running requests are told. */
  release(session: LiveSession, why: 'released' | 'closed'): Promise<void> {
    if (!this.#remove(session)) return this.#closing.get(session.id) ?? Promise.resolve();
    return this.#track(session.id, this.#release(session, why));
  }

  async #release(session: LiveSession, why: 'released' | 'closed'): Promise<void> {
    await session.leave(why);
    await this.#giveBack(session, this.options.timeProvider.now());
    this.#emit('released', session.id, { reason: why });
  }

  /** An idle session becomes its record; whoever asks for it meanwhile waits and wakes it. */
  hibernate(session: LiveSession): Promise<void> {
    const activeAt = Math.round(this.#activeAt(session));
    if (!this.#remove(session)) return this.#closing.get(session.id) ?? Promise.resolve();
    return this.#track(session.id, this.#hibernate(session, activeAt));
  }

  async #hibernate(session: LiveSession, activeAt: number): Promise<void> {
    await session.leave('hibernated');
    if ((await this.#giveBack(session, activeAt)) === 'fenced') {
      this.#emit('fenced', session.id, { reason: 'fenced' });
      return;
    }
    this.sleepers.add(session.id, activeAt);
    this.#emit('hibernated', session.id, { reason: 'hibernated' });
  }

  async #giveBack(session: LiveSession, activeAt: number): Promise<WriteOutcome | 'failed'> {
    const { idleTimeoutMs } = this.options;
    const expiresAt = Number.isFinite(idleTimeoutMs) ? Math.ceil(activeAt + idleTimeoutMs) : null;
    try {
      return await this.store.sessions.release(session.id, session.record.fence, { activeAt, expiresAt });
    } catch (cause) {
      this.logger.error(
        { err: cause, sessionId: session.id },
        'A session could not be released; its lease runs out instead',
      );
      return 'failed';
    }
  }

  #remove(session: LiveSession): boolean {
    if (this.#live.get(session.id) !== session) return false;
    this.#live.delete(session.id);
    this.#idle.delete(session);
    return true;
  }

  #track(id: string, leaving: Promise<void>): Promise<void> {
    const tracked = leaving
      .catch((cause: unknown) => this.logger.error({ err: cause, sessionId: id }, 'A session could not be torn down'))
      .finally(() => {
        if (this.#closing.get(id) === tracked) this.#closing.delete(id);
      });
    this.#closing.set(id, tracked);
    return tracked;
  }

  #emit(name: SessionEventName, sessionId: string, more: Pick<SessionEvent, 'cause' | 'reason'>): void {
    const event = { sessionId, at: this.options.timeProvider.now(), ...more };
    try {
      this.#events.emit(name, event);
    } catch (cause) {
      this.logger.error({ err: cause, event: name }, 'A listener of sessions.events threw');
    }
  }

  // ——— the sweep ———

  /** Also without a live session: the store has expired records and tombstones to look after. */
  #arm(): void {
    if (this.#stopped) return;
    this.#timer ??= this.options.timeProvider.setTimeout(() => {
      this.#timer = undefined;
      void this.sweep()
        .catch((err: unknown) => this.logger.warn({ err }, 'A sweep failed; the next one tries again'))
        .finally(() => this.#arm());
    }, SWEEP_MS);
  }

  async sweep(): Promise<void> {
    const now = this.options.timeProvider.monotonic();
    const { idleTimeoutMs, maxIdleSessionCount } = this.options;
    // Nobody waits for the ends: a session that is slow to go must not keep the sweep from the others.
    for (const session of this.#idle) {
      if (now - session.idleSince < idleTimeoutMs) break;
      this.logger.info(
        { sessionId: session.id, idleTimeoutMs },
        `IdleTimeout of ${idleTimeoutMs} ms exceeded; session ${session.id} ends`,
      );
      void this.end(session, 'idle');
    }
    await this.#hibernateIdle();
    if (Number.isFinite(idleTimeoutMs)) this.sleepers.forgetBefore(this.options.timeProvider.now() - idleTimeoutMs);
    while (this.#idleCount > maxIdleSessionCount) void this.#evictOldest();
    this.#reportEvictions();
    this.#saveActivity();
    await this.#sweepStore();
  }

  /** Some in each turn of the event loop: thousands may have become idle together, and those in use go on meanwhile. */
  async #hibernateIdle(): Promise<void> {
    const { hibernateAfterMs, timeProvider } = this.options;
    if (!Number.isFinite(hibernateAfterMs)) return;
    let inTurn: number;
    do {
      inTurn = 0;
      for (const session of this.#idle) {
        if (inTurn === HIBERNATED_BATCH || timeProvider.monotonic() - session.idleSince < hibernateAfterMs) break;
        if (session.busy || (session.news.owed && this.options.responseMode !== 'json')) continue;
        inTurn += 1;
        void this.hibernate(session);
      }
      if (inTurn === HIBERNATED_BATCH) await new Promise<void>((resolve) => afterTurn(resolve));
    } while (inTurn === HIBERNATED_BATCH && !this.#stopped);
  }

  get #evictionHibernates(): boolean {
    return this.#durable && Number.isFinite(this.options.hibernateAfterMs);
  }

  async #evictOldest(): Promise<void> {
    const limit = this.options.maxIdleSessionCount;
    const sleeping = this.#durable ? undefined : this.sleepers.oldest;
    const live = this.#idle.oldest;
    const sessionId = sleeping ?? live?.id;
    if (sessionId === undefined) return;
    const hibernates = this.#evictionHibernates;
    const goes = hibernates ? 'hibernates' : 'ends';
    const evicted = (): void => {
      this.#evicted += 1;
      this.logger.info({ sessionId, limit }, `Idle limit of ${limit} exceeded; session ${sessionId} ${goes}`);
    };
    if (sleeping !== undefined) {
      // It may have gone on elsewhere: then nothing ends.
      try {
        if (await this.endRecord(sleeping, null, 'idle_limit')) evicted();
      } catch (err) {
        this.logger.error({ err, sessionId }, 'The end of a session could not be stored');
      }
    } else if (live !== undefined) {
      evicted();
      await (hibernates ? this.hibernate(live) : this.end(live, 'idle_limit'));
    }
  }

  /** One line for all of a pass: at most one in five seconds, however many sessions had to go. */
  #reportEvictions(): void {
    if (this.#evicted === 0) return;
    const count = this.#evicted;
    this.#evicted = 0;
    const limit = this.options.maxIdleSessionCount;
    const [fields, went] = this.#evictionHibernates
      ? [{ limit, hibernated: count }, 'hibernated']
      : [{ limit, ended: count }, 'ended'];
    this.logger.fatal(
      fields,
      `maxIdleSessionCount of ${limit} exceeded: the ${count} sessions idle the longest were ${went}. Raise it, or lower idleTimeoutMs`,
    );
  }

  /** When it was last in use, ms since 1970. */
  #activeAt(session: LiveSession): number {
    const now = this.options.timeProvider.now();
    return session.idle ? now - (this.options.timeProvider.monotonic() - session.idleSince) : now;
  }

  /** What was restored late has an expiry that may come before the next sweep. */
  #keepFromExpiring(session: LiveSession): void {
    const { idleTimeoutMs } = this.options;
    const now = this.options.timeProvider.now();
    if (session.record.activeSaved + idleTimeoutMs - now <= 2 * SWEEP_MS) session.record.saveActivity(now);
  }

  /** Keeps the records of sessions in use from expiring; coarse, so that calls cost no write. */
  #saveActivity(): void {
    const now = this.options.timeProvider.now();
    const stale = this.options.idleTimeoutMs / ACTIVE_PART;
    if (!Number.isFinite(stale)) return;
    for (const session of this.#live.values()) {
      if (now - session.record.activeSaved < stale) continue;
      const activeAt = this.#activeAt(session);
      if (activeAt - session.record.activeSaved >= stale) session.record.saveActivity(Math.round(activeAt));
    }
  }

  async #sweepStore(): Promise<void> {
    try {
      for (;;) {
        const ids = await this.store.sessions.expired(EXPIRED_BATCH);
        let ended = 0;
        for (const id of ids) if (!this.#live.has(id) && (await this.endRecord(id, null, 'idle'))) ended += 1;
        if (ids.length < EXPIRED_BATCH || ended === 0) break;
        await new Promise<void>((resolve) => afterTurn(resolve));
      }
      await this.store.events.trim();
    } catch (cause) {
      this.logger.warn({ err: cause }, 'The store could not be swept; the next sweep tries again');
    }
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== undefined) this.options.timeProvider.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reportEvictions();
  }
}
