/**
 * Holds what a session sends while the lease of its instance is lapsed, and until the session is claimed again: a
 * message that leaves earlier could contradict the messages of another owner.
 *
 *     open ──lease lapsed──▶ shut ──claimed again──▶ open
 *                              └──the session left──▶ closed: queued sends are dropped
 */

/** The claim that a gate depends on. */
export interface GatedClaim {
  readonly leaseValid: boolean;
  /** Asks for a `release` as soon as `leaseValid` holds. */
  queueUntilLeaseValid(): void;
}

export class LeaseGate {
  readonly #claim: GatedClaim;
  #waiting: Array<(open: boolean) => void> | undefined = undefined;
  #closed = false;

  constructor(claim: GatedClaim) {
    this.#claim = claim;
  }

  get open(): boolean {
    return this.#claim.leaseValid;
  }

  /** Resolves to `true` when the gate is open, and to `false` when the session has left. */
  opened(): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false);
    return new Promise((resolve) => {
      (this.#waiting ??= []).push(resolve);
      this.#claim.queueUntilLeaseValid();
    });
  }

  release(): void {
    this.#settle(true);
  }

  close(): void {
    this.#closed = true;
    this.#settle(false);
  }

  #settle(open: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const resolve of waiting ?? []) resolve(open);
  }
}
