/**
 * Under which claim a copy of a session writes, and why the copy has left.
 *
 *     owned ──the lease lapsed, the session is claimed again──▶ owned, under the next epoch
 *       └──leave(reason)──▶ left
 *
 * Every write of the session names `fence`. The store refuses a write when another instance has claimed the session
 * since. What a crash leaves is the record, which still names this owner and this epoch.
 */
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { isEnded, type Fence, type Records } from '../../stores/store.ts';
import type { LeaveReason } from '../../base/types.ts';

/** The lease of this instance. */
export interface ClaimLease {
  /** The id of this instance for which sessions are claimed. */
  readonly owner: string;
  /** Whether that id has a valid lease. */
  readonly valid: boolean;
  /** Renews the lease now, because another instance seems to believe this instance dead, or because requests wait. */
  renewNow(): void;
}

/** The live sessions of this instance, as their ownership and its claims use them. */
export interface OwnedSessions {
  readonly options: Pick<ResolvedOptions, 'logger'>;
  readonly store: { readonly sessions: Pick<Records, 'claim'> };
  /** The lease that sessions are claimed for. */
  readonly lease: ClaimLease;
  values(): Iterable<{ readonly ownership: SessionOwnership }>;
  /** `false`: the copy is not in the registry, because it is being made or has left. */
  isLive(ownership: SessionOwnership): boolean;
  /** The store refused a write, because another instance owns the session. */
  fenced(ownership: SessionOwnership): void;
  reclaimed(ownership: SessionOwnership): void;
}

/**
 * It also holds what the session sends while the lease of its instance is lapsed, and until the session is claimed
 * again: a message that leaves earlier could contradict the messages of another owner.
 */
export class SessionOwnership {
  readonly sessionId: string;
  readonly #claims: ClaimQueue;
  #fence: Fence;
  #leaveReason: LeaveReason | undefined = undefined;
  #waiting: Array<(isValid: boolean) => void> | undefined = undefined;
  #claiming: Promise<boolean> | undefined = undefined;
  /** The ids of claims whose outcome is unknown. */
  #unknown: string[] | undefined = undefined;

  constructor(claims: ClaimQueue, sessionId: string, fence: Fence) {
    this.sessionId = sessionId;
    this.#claims = claims;
    this.#fence = fence;
  }

  get fence(): Fence {
    return this.#fence;
  }

  get epoch(): number {
    return this.#fence.epoch;
  }

  get owner(): string {
    return this.#fence.owner;
  }

  /** `undefined` while the copy is live or is being made. */
  get leaveReason(): LeaveReason | undefined {
    return this.#leaveReason;
  }

  get left(): boolean {
    return this.#leaveReason !== undefined;
  }

  /**
   * Whether what this copy sends now is still true for its client: the lease is valid, and the session is claimed for
   * the present id of this instance.
   */
  get leaseValid(): boolean {
    const { sessions } = this.#claims;
    return (sessions.lease.valid && this.owner === sessions.lease.owner) || !sessions.isLive(this);
  }

  /** Resolves to `true` when the lease is valid, and to `false` when the session has left: drop what waits. */
  untilLeaseValid(): Promise<boolean> {
    if (this.left) return Promise.resolve(false);
    return new Promise((resolve) => {
      (this.#waiting ??= []).push(resolve);
      this.#claims.queueUntilLeaseValid(this);
    });
  }

  /** The lease is valid, or the session has left. */
  stopWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const resolve of waiting ?? []) resolve(!this.left);
  }

  /** Whether it belongs to an earlier id of this instance, and no claim is under way. */
  get isUnclaimed(): boolean {
    return this.owner !== this.#claims.sessions.lease.owner && this.#claiming === undefined;
  }

  /**
   * Claims the session for the present id. The session need not be live yet. `false`: another instance owns it. Rejects
   * when the store does not answer. Callers share one claim.
   */
  claim(): Promise<boolean> {
    return (this.#claiming ??= this.#claim().finally(() => (this.#claiming = undefined)));
  }

  /** All work in this copy continues under the epoch of the claim. */
  async #claim(): Promise<boolean> {
    const { lease, store } = this.#claims.sessions;
    // The instance may take another id while a claim is under way.
    for (let id = lease.owner; this.owner !== id; id = lease.owner) {
      const before = this.#unknown ?? [];
      this.#unknown = [...before, id];
      const outcome = await store.sessions.claim(this.sessionId, this.#fence, id);
      this.#unknown = undefined;
      const now = outcome.claimed ? outcome.record : outcome.current;
      const isOurs = now !== undefined && !isEnded(now) && now.owner !== null;
      if (!isOurs || !(outcome.claimed || before.includes(now.owner))) {
        this.fenced();
        return false;
      }
      this.#fence = { epoch: now.epoch, owner: now.owner };
    }
    this.#claims.claimed(this);
    return true;
  }

  /**
   * Resolves when the last claim of this instance is known; `undefined`: `fence` is that claim. It would overtake the
   * last write of a session that leaves.
   */
  get claimsSettled(): Promise<unknown> | undefined {
    const claiming =
      this.#claiming ?? (this.#unknown === undefined ? undefined : this.untilLeaseValid());
    return claiming?.catch(() => {});
  }

  /**
   * After a write was refused under `epoch`: whether the cause was only a later claim of this instance. Then the caller
   * writes again, under the later epoch.
   */
  async claimedSince(epoch: number): Promise<boolean> {
    while (!this.left) {
      const settled = this.claimsSettled;
      if (settled === undefined) return this.epoch !== epoch;
      await settled;
    }
    return false;
  }

  /** The store refused a write, and no claim of this instance explains that: another instance owns the session. */
  fenced(): void {
    this.#claims.sessions.fenced(this);
  }

  leave(reason: LeaveReason): void {
    this.#leaveReason = reason;
    this.stopWaiting();
  }
}

/** Enough that 10,000 sessions with a store 10 ms away take some seconds, few enough that calls are not held up. */
const CLAIMS_AT_ONCE = 64;

/**
 * Claims for the present id of this instance. After a lapse the instance has a new id, and its live sessions still
 * belong to the old id: each is served again as soon as it is claimed for the new id.
 *
 *     served ──new id──▶ queued ──▶ being claimed ──won──▶ served
 *                          ▲              │ └──lost──▶ fenced: another instance won the session first
 *                          └─ next renewal ─┘ the store did not answer
 *
 * Claims run beside the renewals of the lease and never delay them. A session that a request or a held message waits
 * for is claimed before the others. A claimed session stays claimed: after another lapse the queue holds the live
 * sessions that are not claimed for the newest id, and claims each from the epoch that it has reached.
 *
 * A claim without a reply may have been stored. The next claim then finds a record that names an earlier id of this
 * instance, and continues from that epoch: no other instance has owned the session in between.
 */
export class ClaimQueue {
  readonly sessions: OwnedSessions;
  readonly #queue = new Set<SessionOwnership>();
  /** The queued sessions that a request or a message waits for. */
  readonly #first = new Set<SessionOwnership>();
  #underWay = 0;
  /** They wait for `stopWaiting`. */
  readonly #waiting = new Set<SessionOwnership>();

  constructor(sessions: OwnedSessions) {
    this.sessions = sessions;
  }

  /** Calls `stopWaiting` once the lease is valid, and claims this session before the others. */
  queueUntilLeaseValid(ownership: SessionOwnership): void {
    this.#waiting.add(ownership);
    this.#attend(ownership);
    this.#start();
  }

  /** The lease was renewed, or there is a new lease. */
  extended(): void {
    for (const { ownership } of this.sessions.values())
      if (ownership.isUnclaimed) this.#queue.add(ownership);
    for (const ownership of this.#waiting) this.#attend(ownership);
    this.#start();
  }

  #attend(ownership: SessionOwnership): void {
    if (ownership.leaseValid) {
      this.#waiting.delete(ownership);
      ownership.stopWaiting();
    } else if (ownership.isUnclaimed) this.#first.add(ownership);
  }

  #start(): void {
    while (this.sessions.lease.valid && this.#underWay < CLAIMS_AT_ONCE) {
      const ownership = this.#take(this.#first) ?? this.#take(this.#queue);
      if (ownership === undefined) return;
      this.#underWay += 1;
      void ownership
        .claim()
        .catch((err: unknown) =>
          this.sessions.options.logger.error(
            { err, sessionId: ownership.sessionId },
            'A session could not be claimed again; the next renewal of the lease tries again',
          ),
        )
        .finally(() => {
          this.#underWay -= 1;
          this.#start();
        });
    }
  }

  #take(queue: Set<SessionOwnership>): SessionOwnership | undefined {
    for (const ownership of queue) {
      queue.delete(ownership);
      if (this.sessions.isLive(ownership) && ownership.isUnclaimed) return ownership;
    }
    return undefined;
  }

  /** The session is claimed for the present id. */
  claimed(ownership: SessionOwnership): void {
    this.sessions.reclaimed(ownership);
    if (this.#waiting.has(ownership)) this.#attend(ownership);
  }
}
