/**
 * The live sessions of one instance: who is live, under which claim, and whether there is room for one more.
 *
 *     session-opener.ts, restorer.ts ──withPlaces, add──▶ registry ──remove──▶ leaving-sessions.ts
 *
 * Idle sessions are kept in the order in which they became idle: the sweep (`sweep.ts`) looks at the oldest first, and
 * no session needs a timer.
 */
import { overMemory, SojournError } from '../base/errors.ts';
import type { SessionChange } from '../base/observe/notices.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import type { Logger, RestoreCause } from '../base/types.ts';
import type { CallServices } from './calls/call-services.ts';
import { EntryList } from '../base/entry-list.ts';
import type { Lifecycle } from './lifecycle.ts';
import {
  ClaimQueue,
  type OwnedSessions,
  type ClaimLease,
  type SessionOwnership,
} from './ownership/session-ownership.ts';
import type { LiveSession, LiveSessionHost } from './session.ts';
import { HibernatedIndex } from './life/hibernated-index.ts';
import { LeavingSessions, type LiveSessions } from './life/leaving-sessions.ts';
import { ACTIVE_PART, SessionSweep, SWEEP_MS } from './life/sweep.ts';
import { type Budget, isOfAddress, shareKey } from '../base/budget.ts';
import type { CallerRequest } from '../http/caller-request.ts';
import type { MemoryRows } from '../http/limits/memory-rows.ts';
import { type OtherInstances, StoredShares } from './life/stored-shares.ts';
import { type IdleSession, UserShares } from './life/user-shares.ts';
import type { EndpointStore } from './record/record-kinds.ts';
import { decodeSession } from './record/session-record.ts';
import type { StoredRecord } from '../stores/store.ts';

export interface RegistryOptions extends Pick<
  Registry,
  'durable' | 'services' | 'held' | 'lease' | 'lifecycle'
> {
  readonly others: OtherInstances;
}

export class Registry implements LiveSessionHost, LiveSessions, OwnedSessions {
  readonly options: ResolvedOptions;
  readonly logger: Logger;
  readonly store: EndpointStore;
  readonly durable: boolean;
  readonly services: CallServices;
  readonly held: MemoryRows;
  readonly lease: ClaimLease;
  readonly lifecycle: Lifecycle;
  readonly hibernated: HibernatedIndex;
  readonly claims = new ClaimQueue(this);
  readonly #live = new Map<string, LiveSession>();
  /** In the order in which they became idle. */
  readonly idle = new EntryList<LiveSession>();
  readonly shares: UserShares;
  readonly leaving: LeavingSessions;
  readonly stored: StoredShares;
  readonly #sweep: SessionSweep;

  constructor(options: ResolvedOptions, store: EndpointStore, given: RegistryOptions) {
    this.options = options;
    this.logger = options.logger;
    this.store = store;
    this.durable = given.durable;
    this.services = given.services;
    this.held = given.held;
    this.lease = given.lease;
    this.lifecycle = given.lifecycle;
    this.shares = new UserShares(options.limits);
    const counted = { memory: this.held.sessions, sessions: this.shares };
    this.hibernated = new HibernatedIndex(
      options.timeProvider.now(),
      given.durable ? undefined : counted,
    );
    this.leaving = new LeavingSessions(this);
    this.stored = new StoredShares(this, given.others);
    this.#sweep = new SessionSweep(this);
  }

  /** `undefined`: that copy is not live. */
  #sessionOf(ownership: SessionOwnership): LiveSession | undefined {
    const session = this.#live.get(ownership.sessionId);
    return session?.ownership === ownership ? session : undefined;
  }

  get count(): number {
    return this.#live.size;
  }

  has(id: string): boolean {
    return this.#live.has(id);
  }

  get(id: string): LiveSession | undefined {
    return this.#live.get(id);
  }

  values(): IterableIterator<LiveSession> {
    return this.#live.values();
  }

  /**
   * Makes a session that keeps `bytes`. It holds its places until it is live or was not made. Idle sessions past
   * `maxIdleSessionCount` end, or on a durable store hibernate.
   */
  async withPlaces<T>(caller: CallerRequest, bytes: number, make: () => Promise<T>): Promise<T> {
    const leave = await this.takePlaces(caller, bytes);
    try {
      while (this.#sweep.isFull) await this.#sweep.evictOldest();
      return await make();
    } finally {
      leave();
    }
  }

  /**
   * Takes a place of `limits.sessions`, for which idle sessions hibernate on a durable store. Call the returned function
   * once to give it back.
   */
  async takePlaces(
    { userKey: user, clientAddress }: CallerRequest,
    bytes: number,
  ): Promise<() => void> {
    const share = shareKey(user, clientAddress);
    let leave = this.shares.reserve(share);
    while (leave instanceof SojournError) {
      const idle = this.durable ? this.#idleFor(share, this.shares, true) : this.#ownIdle(share);
      if (idle === undefined) throw leave;
      if (this.durable) await this.leaving.giveBack(idle, 'hibernated');
      else await this.stored.endOwn(idle);
      leave = this.shares.reserve(share);
    }
    const leaveShare = leave;
    // The session charges what it keeps itself, once it exists.
    if (!this.hold(bytes, 0, share)) {
      leaveShare();
      throw overMemory();
    }
    return () => {
      leaveShare();
      this.held.sessions.give(bytes, share);
    };
  }

  /**
   * On the memory store: many callers may have one address, and the session that is idle longest
   * makes room.
   */
  #ownIdle(share: string): LiveSession | undefined {
    const isOwnLimit = isOfAddress(share) && !this.shares.isFull;
    return isOwnLimit ? this.#liveOf(this.shares.pickOf(share)) : undefined;
  }

  hold(bytes: number, held: number, share: string): boolean {
    while (!this.held.sessions.take(bytes, held, share)) {
      const { budget } = this.held.sessions;
      const idle = this.durable
        ? this.#idleFor(share, budget, budget.isOver(share, bytes))
        : undefined;
      if (idle === undefined) return false;
      // It leaves at once; only its record is written later.
      void this.leaving.giveBack(idle, 'hibernated');
    }
    return true;
  }

  /** The session that makes room for this user: of one who holds more, else its own, else of any within its share. */
  #idleFor(share: string, held: Pick<Budget, 'heldBy'>, isOver: boolean): LiveSession | undefined {
    const most = this.shares.pick(this.idle);
    if (most !== undefined && held.heldBy(most.share) > held.heldBy(share))
      return this.get(most.id);
    return this.#liveOf(this.shares.pickOf(share) ?? (isOver ? undefined : most));
  }

  #liveOf(picked: IdleSession | undefined): LiveSession | undefined {
    return picked && this.get(picked.id);
  }

  /** `cause`: why a session was restored; `undefined`: it was opened here. `record`: as it was before its claim. */
  add(session: LiveSession, cause?: RestoreCause, record?: StoredRecord): void {
    this.#live.set(session.id, session);
    this.shares.charge(1, session.share);
    if (session.idle) this.becameIdle(session);
    if (cause !== undefined) this.#sweep.keepFromExpiring(session);
    if (cause === undefined) {
      const { clientInfo } = session.handshake.params;
      this.emit({
        kind: 'sessionOpened',
        sessionId: session.id,
        clientInfo,
        protocolVersion: session.version,
      });
    } else
      this.emit({
        kind: 'sessionRestored',
        sessionId: session.id,
        cause,
        ...ownerBefore(cause, record),
      });
    // It ended itself while its record was being stored.
    const { leaveReason } = session.ownership;
    if (leaveReason === 'server_closed' || leaveReason === 'handler_returned')
      this.endedItself(session, leaveReason);
  }

  // ——— SessionHost ———

  emit(change: SessionChange): void {
    const { notices, timeProvider } = this.options;
    notices.emit(Object.assign(change, { at: timeProvider.now() }));
  }

  /**
   * How long the record of a session lasts that was in use `idleMs` ago. Late enough that a living owner always ends
   * the session first: it saves activity coarsely and sweeps every few seconds.
   */
  expiresInMs(idleMs = 0): number | null {
    const { idleTimeoutMs } = this.options;
    if (!Number.isFinite(idleTimeoutMs)) return null;
    return Math.ceil(idleTimeoutMs + idleTimeoutMs / ACTIVE_PART + 2 * SWEEP_MS - idleMs);
  }

  /** Clients of running calls may find their answers at another instance. */
  endToResumeElsewhere(): void {
    for (const { calls } of this.#live.values()) calls.running.endToResumeElsewhere();
  }

  becameActive(session: LiveSession): void {
    this.idle.delete(session.idleEntry);
    this.shares.becameActive(session.userEntry);
  }

  becameIdle(session: LiveSession): void {
    if (this.#live.get(session.id) !== session) return;
    this.idle.add(session.idleEntry, this.options.timeProvider.monotonic());
    this.shares.becameIdle(session.userEntry);
  }

  fenced(ownership: SessionOwnership): void {
    const session = this.#sessionOf(ownership);
    if (session !== undefined) this.leaving.fenced(session);
  }

  endedItself(session: LiveSession, reason: 'server_closed' | 'handler_returned'): void {
    if (this.#live.get(session.id) === session) void this.leaving.end(session, reason);
    else void session.leave(reason);
  }

  hibernate(session: LiveSession): void {
    if (this.#live.get(session.id) === session && session.mayHibernate)
      void this.leaving.giveBack(session, 'hibernated');
  }

  isLive(ownership: SessionOwnership): boolean {
    return this.#sessionOf(ownership) !== undefined;
  }

  reclaimed(ownership: SessionOwnership): void {
    if (this.isLive(ownership))
      this.emit({ kind: 'sessionRestored', sessionId: ownership.sessionId, cause: 'reclaim' });
  }

  /** For `leaving`. `false`: the session is not live here any more. */
  remove(session: LiveSession): boolean {
    if (this.#live.get(session.id) !== session) return false;
    this.#live.delete(session.id);
    this.becameActive(session);
    this.shares.charge(-1, session.share);
    return true;
  }

  stop(): void {
    this.#sweep.stop();
  }
}

/** What a record says of the owner that a takeover follows. An owner that leaves takes its name out of the record. */
function ownerBefore(cause: RestoreCause, record: StoredRecord | undefined) {
  if (record === undefined || cause === 'migration') return {};
  const { owner } = record;
  if (owner !== null)
    return { from: owner, ...(cause === 'takeover' && { after: 'died' as const }) };
  if (cause !== 'takeover') return {};
  return {
    after:
      decodeSession(record).hibernated === true ? ('hibernated' as const) : ('released' as const),
  };
}
