/**
 * Under which claim a copy of a session writes, and why the copy has left.
 *
 *     owned ──the lease lapsed, the session is claimed again──▶ owned, under the next epoch
 *       └──leave(reason)──▶ left
 *
 * Every write of the session names `fence`. The store refuses a write when another instance has claimed the session
 * since. What a crash leaves is the record, which still names this owner and this epoch.
 */
import type { Fence, MaybePromise } from '../../stores/store.ts';
import type { LeaveReason } from '../../types.ts';

/** The lease of this instance. */
export interface OwnLease {
  /** The id of this instance for which sessions are claimed. */
  readonly owner: string;
  /** Whether that id has a valid lease. */
  readonly valid: boolean;
  /** Renews the lease now, because another instance seems to believe this instance dead, or because requests wait. */
  check(): void;
}

/** What an ownership needs of its instance, which claims all its sessions in one queue. */
export interface Claims {
  /**
   * Whether the lease is valid and the session is claimed for the present id of this instance. Always `true` for a copy
   * that is not in the registry, such as a session that is being opened.
   */
  leaseValid(ownership: Ownership): boolean;
  /** Opens the gate once `leaseValid` holds, and claims this session before the others. */
  queueUntilLeaseValid(ownership: Ownership): void;
  /** Settles when the last claim of this instance is known; `undefined`: `fence` is that claim. */
  claimsSettled(ownership: Ownership): Promise<unknown> | undefined;
  /** The store refused a write, because another instance owns the session. */
  fenced(ownership: Ownership): void;
}

/**
 * Holds what a session sends while the lease of its instance is lapsed, and until the session is claimed again: a
 * message that leaves earlier could contradict the messages of another owner.
 *
 *     open ──lease lapsed──▶ shut ──claimed again──▶ open
 *                              └──the session left──▶ closed: queued sends are dropped
 */
export class LeaseGate {
  readonly #claims: Claims;
  readonly #ownership: Ownership;
  #waiting: Array<(open: boolean) => void> | undefined = undefined;

  constructor(claims: Claims, ownership: Ownership) {
    this.#claims = claims;
    this.#ownership = ownership;
  }

  /** Whether what this copy sends now is still true for its client. */
  get open(): boolean {
    return this.#claims.leaseValid(this.#ownership);
  }

  /** Resolves to `true` when the gate is open, and to `false` when the session has left. */
  opened(): Promise<boolean> {
    if (this.#ownership.left) return Promise.resolve(false);
    return new Promise((resolve) => {
      (this.#waiting ??= []).push(resolve);
      this.#claims.queueUntilLeaseValid(this.#ownership);
    });
  }

  /** The lease is valid, or the session has left. */
  release(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const resolve of waiting ?? []) resolve(!this.#ownership.left);
  }
}

export class Ownership {
  readonly sessionId: string;
  /** Closed while the lease is lapsed. */
  readonly gate: LeaseGate;
  readonly #claims: Claims;
  #fence: Fence;
  #leaveReason: LeaveReason | undefined = undefined;

  constructor(claims: Claims, sessionId: string, fence: Fence) {
    this.sessionId = sessionId;
    this.#claims = claims;
    this.#fence = fence;
    this.gate = new LeaseGate(claims, this);
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

  /** This instance claimed the session again, so all work in this copy continues under the new epoch. */
  claimed(fence: Fence): void {
    this.#fence = fence;
  }

  /**
   * After a write was refused under `epoch`: whether the cause was only a later claim of this instance. Then the caller
   * writes again, under the later epoch.
   */
  claimedSince(epoch: number): MaybePromise<boolean> {
    if (this.left) return false;
    const settled = this.#claims.claimsSettled(this);
    if (settled === undefined) return this.epoch !== epoch;
    const again = (): MaybePromise<boolean> => this.claimedSince(epoch);
    return settled.then(again, again);
  }

  /** The store refused a write, and no claim of this instance explains that: another instance owns the session. */
  fenced(): void {
    this.#claims.fenced(this);
  }

  leave(reason: LeaveReason): void {
    if (this.left) throw new Error(`Session ${this.sessionId} has left already: ${this.#leaveReason}`);
    this.#leaveReason = reason;
    this.gate.release();
  }
}
