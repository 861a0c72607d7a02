/**
 * What the renewals of a lease tell of the store: whether it is away, for how long, and whether owners may be about to
 * return from an outage.
 */
import { backoffMs, type RandomSource } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';

/**
 * The pauses between renewals while the store is away, varied by half. A store that is back before the lease expires is
 * noticed in time, and other instances wait for the lease of an owner before they claim its sessions.
 */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

/**
 * An outage in which a living owner loses its lease lasts two thirds of the lease time. No instance renews in it, so
 * this instance sees that long a gap between two renewals. Without an outage the gap is a third.
 */
const OUTAGE_LEASES = 1 / 2;

/**
 * After an outage of the store, as a part of the lease time: an instance that is alive has its lease and its mailbox
 * again by then. Until then no instance claims the sessions of an owner without a lease, or removes the lease of an
 * owner without a mailbox: its running calls would end with `owner_lost`.
 */
const RETURN_LEASES = 2 / 3;

interface OutageOptions {
  readonly inProcess: boolean;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly time: Required<TimeProvider>;
  /** How long what needs the store waits for it. */
  readonly maxWaitMs: number;
}

export class Outage {
  readonly #options: OutageOptions;
  /** Renewals in a row that did not reach the store. */
  #failures = 0;
  /**
   * When waiting is over; `Infinity`: the last renewal succeeded, or `cutsOff` has said since that
   * it is.
   */
  #cutOffAt = Infinity;
  #ownersReturnUntil = -Infinity;
  /** When the last renewal succeeded. */
  #renewedAt = Infinity;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** The last renewal could not reach the store. */
  get isNow(): boolean {
    return this.#failures > 0;
  }

  get pauseMs(): number {
    return backoffMs(this.#failures, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, this.#options.random);
  }

  /**
   * A short outage closes the mailboxes of all instances, and fails no renewal. A store that takes no renewals may
   * still answer reads (SQLite under a lock), and then other leases run out.
   */
  #isSeen(mailboxLost: boolean): boolean {
    const { inProcess, leaseMs, time } = this.#options;
    return (
      this.isNow ||
      mailboxLost ||
      (!inProcess && time.monotonic() - this.#renewedAt > OUTAGE_LEASES * leaseMs)
    );
  }

  ownersMayReturn(mailboxLost: boolean): boolean {
    return this.#isSeen(mailboxLost) || this.#options.time.monotonic() < this.#ownersReturnUntil;
  }

  joined(): void {
    this.#renewedAt = this.#options.time.monotonic();
  }

  /** Returns whether the store was away until now. */
  renewed(mailboxLost: boolean): boolean {
    const { leaseMs, time } = this.#options;
    const wasAway = this.isNow;
    if (this.#isSeen(mailboxLost))
      this.#ownersReturnUntil = time.monotonic() + RETURN_LEASES * leaseMs;
    this.joined();
    this.#failures = 0;
    this.#cutOffAt = Infinity;
    return wasAway;
  }

  failed(): void {
    if (!this.isNow) this.#cutOffAt = this.#options.time.monotonic() + this.#options.maxWaitMs;
    this.#failures += 1;
  }

  /** Once in an outage: the store has been away for `maxWaitMs`. */
  cutsOff(): boolean {
    if (this.#options.time.monotonic() < this.#cutOffAt) return false;
    this.#cutOffAt = Infinity;
    return true;
  }
}
