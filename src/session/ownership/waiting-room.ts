/**
 * The places of requests that need a lease or a store that is away. They wait instead of being refused, because no
 * client retries a refused call:
 *
 *     waiting ──lease or store back, or a round──▶ attempted ──served──▶ left
 *        │                                             ╰──still away──▶ waiting
 *        ╰──its deadline, or the endpoint drained──▶ expired
 *
 * Places are bounded by count and bytes; past the bound the newest request is refused. A user may take half of what the
 * others leave free. While the lease is lapsed nothing is attempted. Else each round attempts a few requests, and the
 * first that is served wakes the others.
 */
import { Budget, shareKey } from '../../base/budget.ts';
import { afterTurn, type RandomSource } from '../../base/system.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { OwnLease } from './session-ownership.ts';

/** Between two rounds: too short for a person to notice, long enough not to flood a store that is back. */
const ROUND_MS = 100;
const JITTER_MS = 100;
/** Attempts that one round begins. */
const PER_ROUND = 16;
/** Attempts that one turn of the event loop begins when the store is back. */
const PER_TURN = 100;
const USER_SHARE = 1 / 2;

/** Something that has a place. */
export interface Waiter {
  readonly user: string;
  readonly bytes: number;
  /** A time of the monotonic clock, in ms. */
  deadline: number;
  /** When it was last attempted, by the same clock. */
  attemptedAt: number;
  /** `false`: it is not its turn. Called while the lease is valid. */
  attempt(): boolean;
  /** Called in each round after the deadline, until it has left. */
  expired(): void;
}

export interface WaitingRoomOptions {
  readonly options: ResolvedOptions;
  readonly random: RandomSource;
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
  readonly lease: Pick<OwnLease, 'valid' | 'renewNow'>;
}

export class WaitingRoom {
  readonly #given: WaitingRoomOptions;
  /** Oldest first. */
  readonly #waiters = new Set<Waiter>();
  readonly #places: Budget;
  readonly #bytes: Budget;
  #timer: unknown = undefined;
  #isWaking = false;

  constructor(given: WaitingRoomOptions) {
    const { waitingRequests, waitingBytes } = given.options.limits;
    this.#given = given;
    this.#places = new Budget(waitingRequests, USER_SHARE);
    this.#bytes = new Budget(waitingBytes, 1);
  }

  get size(): number {
    return this.#waiters.size;
  }

  get #now(): number {
    return this.#given.options.timeProvider.monotonic();
  }

  /** `false`: no place is left for this user, or the endpoint refuses requests. */
  enter(waiter: Waiter): boolean {
    const { user, bytes } = waiter;
    const { size, used } = this.#bytes;
    const isFull = this.#given.lifecycle.refusal !== undefined || this.#bytes.heldBy(user) + bytes > size - used;
    if (isFull || !this.#places.take(1, user)) return false;
    this.#bytes.charge(bytes, user);
    this.#waiters.add(waiter);
    if (this.#timer === undefined) this.#arm();
    return true;
  }

  /** The request is served, was refused, or its client disconnected. */
  leave(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return;
    this.#places.charge(-1, waiter.user);
    this.#bytes.charge(-waiter.bytes, waiter.user);
    if (this.#waiters.size > 0) return;
    this.#given.options.timeProvider.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    const { options, random, lease } = this.#given;
    // After a suspend the lease is renewed now instead of at its next tick.
    if (!lease.valid) lease.renewNow();
    const jitter = ((random(1)[0] ?? 0) / 256) * JITTER_MS;
    this.#timer = options.timeProvider.setTimeout(() => {
      this.#timer = undefined;
      const now = this.#now;
      for (const waiter of this.#waiters) if (now >= waiter.deadline) waiter.expired();
      this.#attemptSome(PER_ROUND);
      if (this.#waiters.size > 0 && this.#timer === undefined) this.#arm();
    }, ROUND_MS + jitter);
  }

  /** Attempts those whose last attempt is a round ago, oldest first. `false`: there may be more of them. */
  #attemptSome(most: number): boolean {
    if (!this.#given.lease.valid) return true;
    const now = this.#now;
    let begun = 0;
    for (const waiter of this.#waiters) {
      if (begun === most) return false;
      if (now - waiter.attemptedAt < ROUND_MS || !waiter.attempt()) continue;
      waiter.attemptedAt = now;
      begun += 1;
    }
    return true;
  }

  /** The lease is valid again, or the store answers. */
  wake(): void {
    if (this.#isWaking || this.#waiters.size === 0) return;
    this.#isWaking = true;
    afterTurn(() => {
      this.#isWaking = false;
      if (!this.#attemptSome(PER_TURN)) this.wake();
    });
  }

  /** Refuses every request that waits, once the endpoint has drained or closes. */
  refuseAll(): void {
    for (const waiter of this.#waiters) waiter.expired();
  }

  /**
   * Waits until the lease is valid; `false`: it took longer than `waitMs`, every place is taken, or the client left.
   */
  lease(bytes: number, client: Pick<Exchange, 'user' | 'clientAddress' | 'onClose'>): Promise<boolean> {
    const { waitMs } = this.#given.options;
    return new Promise((resolve) => {
      const over = (isValid: boolean): void => {
        this.leave(waiter);
        resolve(isValid);
      };
      const waiter: Waiter = {
        user: shareKey(client.user, client.clientAddress),
        bytes,
        deadline: this.#now + waitMs,
        attemptedAt: -Infinity,
        attempt: () => {
          over(true);
          return true;
        },
        expired: () => over(false),
      };
      if (waitMs <= 0 || !this.enter(waiter)) return resolve(false);
      client.onClose(() => over(false));
    });
  }
}
