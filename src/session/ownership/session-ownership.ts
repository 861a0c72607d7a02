/**
 * Under which claim a copy of a session writes, and why the copy has left.
 *
 *     owned ──the lease lapsed, the session is claimed again──▶ owned, under the next epoch
 *       └──leave(reason)──▶ left
 *
 * Every write of the session names `fence`. The store refuses a write when another instance has claimed the session
 * since. What a crash leaves is the record, which still names this owner and this epoch.
 */
import { sessionHash } from '../../base/shown.ts';
import type { Fence } from '../../stores/store.ts';
import type { LeaveReason } from '../../types.ts';

/** The lease of this instance. */
export interface OwnLease {
  /** The id of this instance for which sessions are claimed. */
  readonly owner: string;
  /** Whether that id has a valid lease. */
  readonly valid: boolean;
  /** Renews the lease now, because another instance seems to believe this instance dead, or because requests wait. */
  renewNow(): void;
}

/** The copies of one instance, as the ownership of each sees them. */
export interface OwningCopies {
  /** The lease that sessions are claimed for. */
  readonly lease: OwnLease;
  /** `false`: the copy is not in the registry, because it is being made or has left. */
  isLive(ownership: SessionOwnership): boolean;
  /** The store refused a write, because another instance owns the session. */
  fenced(ownership: SessionOwnership): void;
}

/** What an ownership needs of its instance, which claims all its sessions in one queue. */
export interface Claims {
  readonly copies: OwningCopies;
  /** Calls `stopWaiting` once the lease is valid, and claims this session before the others. */
  queueUntilLeaseValid(ownership: SessionOwnership): void;
  /** Settles when the last claim of this instance is known; `undefined`: `fence` is that claim. */
  claimsSettled(ownership: SessionOwnership): Promise<unknown> | undefined;
}

/**
 * It also holds what the session sends while the lease of its instance is lapsed, and until the session is claimed
 * again: a message that leaves earlier could contradict the messages of another owner.
 */
export class SessionOwnership {
  readonly sessionId: string;
  readonly #claims: Claims;
  #fence: Fence;
  #leaveReason: LeaveReason | undefined = undefined;
  #waiting: Array<(isValid: boolean) => void> | undefined = undefined;

  constructor(claims: Claims, sessionId: string, fence: Fence) {
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
    const { copies } = this.#claims;
    return (copies.lease.valid && this.owner === copies.lease.owner) || !copies.isLive(this);
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

  /** This instance claimed the session again, so all work in this copy continues under the new epoch. */
  claimed(fence: Fence): void {
    this.#fence = fence;
  }

  /**
   * After a write was refused under `epoch`: whether the cause was only a later claim of this instance. Then the caller
   * writes again, under the later epoch.
   */
  async claimedSince(epoch: number): Promise<boolean> {
    while (!this.left) {
      const settled = this.#claims.claimsSettled(this);
      if (settled === undefined) return this.epoch !== epoch;
      await settled.catch(() => {});
    }
    return false;
  }

  /** The store refused a write, and no claim of this instance explains that: another instance owns the session. */
  fenced(): void {
    this.#claims.copies.fenced(this);
  }

  leave(reason: LeaveReason): void {
    if (this.left) throw new Error(`Session ${sessionHash(this.sessionId)} has left already: ${this.#leaveReason}`);
    this.#leaveReason = reason;
    this.stopWaiting();
  }
}
