/**
 * The work that is done every few seconds for all sessions together. Three passes begin with each tick, and none waits
 * for another:
 *
 *     activity ─ keeps the records of sessions in use from expiring
 *     idle     ─ idle sessions end, hibernate or make room
 *     store    ─ expired records are ended, old events are trimmed
 *
 * A tick that finds its idle or store pass still under way leaves that pass alone; the next tick begins a new one.
 */
import { pagesOf } from '../../base/pages.ts';
import { sessionHash } from '../../base/shown.ts';
import { afterTurn, every } from '../../base/system.ts';
import type { DueRecord } from '../../stores/store.ts';
import type { LiveSessions } from './leaving-sessions.ts';
import type { IdleSession } from './user-shares.ts';
import type { LiveSession } from '../session.ts';

/** How often idle sessions are checked. */
export const SWEEP_MS = 5_000;
/** `activeAt` is saved when it is older than this part of the idle timeout. */
export const ACTIVE_PART = 10;
/** Expired records without an owner that one request to the store returns. */
const EXPIRED_BATCH = 100;
/** Expired records that are ended at once: enough for a store in another zone, few enough beside the requests. */
const ENDS_AT_ONCE = 16;
/** Idle sessions hibernated in one turn of the event loop. */
const HIBERNATED_BATCH = 50;

type Pass = 'idle' | 'store';

export class SessionSweep {
  readonly #registry: LiveSessions;
  #evicted = 0;
  readonly #stopTimer: () => void;
  readonly #underWay = new Set<Pass>();
  #stopped = false;

  constructor(registry: LiveSessions) {
    this.#registry = registry;
    this.#stopTimer = every(registry.options.timeProvider, SWEEP_MS, () => this.#tick());
  }

  /**
   * What `maxIdleSessionCount` counts: a durable store keeps hibernated sessions out of memory, the memory store does
   * not.
   */
  get #idleCount(): number {
    return this.#registry.idle.size + (this.#registry.durable ? 0 : this.#registry.hibernated.size);
  }

  /** Whether one more idle session would be too many. */
  get isFull(): boolean {
    return this.#idleCount > 0 && this.#idleCount >= this.#registry.options.maxIdleSessionCount;
  }

  /** Runs also without a live session, because the store has expired records and tombstones. */
  #tick(): void {
    this.#registry.leaving.reportLost();
    this.#saveActivity();
    this.#begin('idle', () => this.#sweepIdle());
    this.#begin('store', () => this.#sweepStore());
  }

  #begin(pass: Pass, sweep: () => Promise<void>): void {
    if (this.#underWay.has(pass)) return;
    this.#underWay.add(pass);
    void sweep()
      .catch((err: unknown) =>
        this.#registry.logger.error(
          { err },
          'A sweep of the sessions failed; the next one, in 5 s, tries again',
        ),
      )
      .finally(() => this.#underWay.delete(pass));
  }

  async #sweepIdle(): Promise<void> {
    const now = this.#registry.options.timeProvider.monotonic();
    const { idleTimeoutMs, maxIdleSessionCount } = this.#registry.options;
    // The sweep does not wait for the ends: a session that is slow to end must not keep the sweep from the others.
    for (const session of this.#registry.idle) {
      if (now - session.idleEntry.since < idleTimeoutMs) break;
      void this.#registry.leaving.end(session, 'idle');
    }
    // Calls of these run, and nothing else will end a call that never returns.
    for (const session of this.#registry.values())
      if (!session.idle && session.idleMs >= idleTimeoutMs)
        void this.#registry.leaving.end(session, 'idle');
    await this.#hibernateIdle();
    if (Number.isFinite(idleTimeoutMs))
      this.#registry.hibernated.forgetBefore(
        this.#registry.options.timeProvider.now() - idleTimeoutMs,
      );
    while (this.#idleCount > maxIdleSessionCount) void this.evictOldest();
    this.#reportEvictions();
  }

  /**
   * Some in each turn of the event loop: thousands may have become idle together, and sessions in use must be served.
   */
  async #hibernateIdle(): Promise<void> {
    const { hibernateAfterMs, timeProvider } = this.#registry.options;
    if (!Number.isFinite(hibernateAfterMs)) return;
    let inTurn: number;
    do {
      inTurn = 0;
      for (const session of this.#registry.idle) {
        if (
          inTurn === HIBERNATED_BATCH ||
          timeProvider.monotonic() - session.idleEntry.since < hibernateAfterMs
        )
          break;
        if (!session.mayHibernate) continue;
        inTurn += 1;
        void this.#registry.leaving.giveBack(session, 'hibernated');
      }
      if (inTurn === HIBERNATED_BATCH) await new Promise<void>((resolve) => afterTurn(resolve));
    } while (inTurn === HIBERNATED_BATCH && !this.#stopped);
  }

  /** Ends or hibernates the session that is idle longest. It stops counting at once, however long its end takes. */
  async evictOldest(): Promise<void> {
    const { durable, hibernated, leaving, shares, logger } = this.#registry;
    const picked = shares.pick(this.#evictable());
    if (picked === undefined) return;
    const { id: sessionId } = picked;
    const live = this.#registry.get(sessionId);
    if (live !== undefined) {
      this.#noteEvicted(sessionId);
      await (durable ? leaving.giveBack(live, 'hibernated') : leaving.end(live, 'idle_limit'));
      return;
    }
    hibernated.delete(sessionId);
    try {
      // Another instance may own it by now: then it does not end.
      if (await leaving.endOwnerless(sessionId, 'idle_limit')) this.#noteEvicted(sessionId);
    } catch (err) {
      logger.error({ err, sessionId }, 'The end of a session could not be stored');
    }
  }

  /** Those that count for `maxIdleSessionCount`, longest idle first. */
  *#evictable(): Generator<IdleSession> {
    yield* this.#registry.hibernated.kept();
    yield* this.#registry.idle;
  }

  #noteEvicted(sessionId: string): void {
    const { durable, logger, options } = this.#registry;
    const limit = options.maxIdleSessionCount;
    this.#evicted += 1;
    // The notice of a session that hibernates has a line.
    if (!durable)
      logger.info(
        { sessionId, limit },
        `Idle limit of ${limit} exceeded; session ${sessionHash(sessionId)} ends`,
      );
  }

  /** One line per pass, so at most one in five seconds, however many sessions were evicted. */
  #reportEvictions(): void {
    if (this.#evicted === 0) return;
    const count = this.#evicted;
    this.#evicted = 0;
    const limit = this.#registry.options.maxIdleSessionCount;
    const exceeded = `maxIdleSessionCount of ${limit} exceeded: ${count} idle sessions`;
    if (this.#registry.durable)
      this.#registry.logger.info({ limit, hibernated: count }, `${exceeded} hibernate`);
    else
      this.#registry.logger.fatal(
        { limit, ended: count },
        `${exceeded} were ended. Raise it, lower idleTimeoutMs, or use a store in which they hibernate`,
      );
  }

  /** The record of a session that was restored late may expire before the next sweep. */
  keepFromExpiring(session: LiveSession): void {
    const { idleTimeoutMs, timeProvider } = this.#registry.options;
    const savedMs = timeProvider.monotonic() - session.record.activitySavedAt;
    if (Number.isFinite(idleTimeoutMs) && idleTimeoutMs - savedMs <= 2 * SWEEP_MS)
      session.record.saveActivity(0);
  }

  /** Keeps the records of sessions in use from expiring; coarse, so that calls cost no write. */
  #saveActivity(): void {
    const now = this.#registry.options.timeProvider.monotonic();
    const stale = this.#registry.options.idleTimeoutMs / ACTIVE_PART;
    for (const session of this.#registry.values()) {
      const { activitySavedAt } = session.record;
      session.notesReaders(now);
      const { idleMs } = session;
      if (now - idleMs - activitySavedAt >= stale) session.record.saveActivity(idleMs);
    }
  }

  async #sweepStore(): Promise<void> {
    const { store } = this.#registry;
    // The store is away, or not open yet.
    if (!this.#registry.lease.valid) return;
    try {
      await this.#registry.leaving.settle();
      // Another owner that is alive ends its sessions itself, and an instance that is dead stays so. Of this instance
      // these are copies that never were live: the store kept the record of an `initialize`, and its reply was lost.
      const alive = new Map<string, boolean>([[this.#registry.lease.owner, false]]);
      // Sessions have no due time, so these have expired.
      for await (const { records } of pagesOf((cursor) =>
        store.sessions.due(EXPIRED_BATCH, cursor),
      )) {
        const ownerless = await this.#ownerless(records, alive);
        const ended = await this.#endExpired(ownerless);
        if ((ownerless.length > 0 && ended === 0) || this.#stopped) break;
        await new Promise<void>((resolve) => afterTurn(resolve));
      }
      await store.sessions.trim();
      await store.once.trim();
      await store.results.trim();
      await this.#registry.services.states.sweep();
    } catch (cause) {
      this.#notRemoved(cause);
    }
  }

  #notRemoved(err: unknown): void {
    this.#registry.logger.error(
      { err },
      'Expired sessions could not be removed from the store; the next sweep tries again',
    );
  }

  /** The sessions that no instance serves. `alive`: the owners that are known in this pass. */
  async #ownerless(
    expired: readonly DueRecord[],
    alive: Map<string, boolean>,
  ): Promise<readonly DueRecord[]> {
    const { leaving, store } = this.#registry;
    for (const { owner } of expired)
      if (owner !== null && !alive.has(owner))
        alive.set(owner, (await store.instances.read(owner)) !== undefined);
    const isHere = (id: string): boolean =>
      this.#registry.get(id) !== undefined || leaving.closing(id) !== undefined;
    return expired.filter(({ id, owner }) => (owner === null || !alive.get(owner)) && !isHere(id));
  }

  /**
   * How many were ended. The store may refuse the end of a session for good, so a round that ends
   * none is the last of the pass.
   */
  async #endExpired(sessions: readonly DueRecord[]): Promise<number> {
    let ended = 0;
    let failed: PromiseRejectedResult | undefined;
    for (let n = 0; n < sessions.length && !this.#stopped; n += ENDS_AT_ONCE) {
      const some = sessions.slice(n, n + ENDS_AT_ONCE);
      const ends = some.map((session) =>
        this.#registry.leaving.endRecord(session.id, session, 'idle'),
      );
      const outcomes = await Promise.allSettled(ends);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') failed = outcome;
        else if (outcome.value) ended += 1;
      }
      // A store that is away takes none, and may take seconds to say so.
      if (outcomes.every(({ status }) => status === 'rejected')) break;
    }
    if (failed !== undefined) this.#notRemoved(failed.reason);
    return ended;
  }

  stop(): void {
    this.#stopped = true;
    this.#stopTimer();
    this.#reportEvictions();
    this.#registry.leaving.reportLost();
  }
}
