/**
 * Requests that need a lease or a store that is away wait instead of being refused, because no client retries a refused
 * call.
 *
 *     waiting ──lease or store back, or its turn to probe──▶ tries again ──served──▶ left
 *        │                                                      ╰──still away──▶ waiting
 *        ╰──`waitMs` over, or the endpoint drained──▶ refused
 *
 * Waiting requests are bounded by count and bytes; past the bound the newest request is refused. A user may take as
 * many places and bytes as are left free: half of them if no other user waits, so that there is room for others. While
 * the lease is lapsed no request tries. While only the store is away, a few requests probe it at a time, and the first
 * success wakes the others.
 */
import type { Exchange } from '../../http/exchange.ts';
import { Budget, shareKey } from '../../base/budget.ts';
import { afterTurn, type RandomSource } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { OwnLease } from './session-ownership.ts';

/**
 * Between two rounds of probes: short enough for a person not to notice, long enough not to flood a store that is back.
 */
const ROUND_MS = 100;
const JITTER_MS = 100;
/** Requests that probe the store in one round. */
const PROBES = 16;
/** A user may have as many places as it leaves free. */
const USER_SHARE = 1 / 2;
/** Woken in one turn of the event loop. */
const WOKEN_PER_TURN = 100;

export interface WaitingRoomOptions {
  readonly time: Required<TimeProvider>;
  readonly random: RandomSource;
  /** `limits.waitingRequests`, `limits.waitingBytes`. */
  readonly places: number;
  readonly bytes: number;
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
  readonly lease: Pick<OwnLease, 'valid' | 'renewNow'>;
}

/** The place of a request that waits. */
export interface Ticket {
  readonly bytes: number;
  /** A time of the monotonic clock, in ms. */
  readonly deadline: number;
}

interface Waiter extends Ticket {
  readonly user: string;
  resolve: ((again: boolean) => void) | undefined;
  /** Called in each round after the deadline, until the request has left. */
  readonly expired: () => void;
}

export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  /** Oldest first. */
  readonly #waiters = new Set<Waiter>();
  readonly #places: Budget;
  readonly #bytes: Budget;
  /** How many of them wait for `next`. */
  #asleep = 0;
  /** While requests are woken: those whose turn comes next. */
  #waking: Iterator<Waiter> | undefined;
  #timer: unknown;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
    this.#places = new Budget(options.places, USER_SHARE);
    this.#bytes = new Budget(options.bytes, 1);
  }

  get #refuses(): boolean {
    return this.#options.lifecycle.refusal !== undefined;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** `user`: whose share it takes. `undefined`: no place is left for this user, or the endpoint refuses requests. */
  enter(user: string, bytes: number, deadline: number, expired: () => void): Ticket | undefined {
    const { size, used } = this.#bytes;
    if (this.#refuses || this.#bytes.heldBy(user) + bytes > size - used || !this.#places.take(1, user))
      return undefined;
    const waiter: Waiter = { user, bytes, deadline, resolve: undefined, expired };
    this.#waiters.add(waiter);
    this.#bytes.charge(bytes, user);
    if (this.#timer === undefined) this.#arm();
    return waiter;
  }

  /** Frees a place: the request is served, was refused, or its client disconnected. */
  remove(ticket: Ticket): void {
    const waiter = ticket as Waiter;
    if (!this.#waiters.delete(waiter)) return;
    this.#places.charge(-1, waiter.user);
    this.#bytes.charge(-waiter.bytes, waiter.user);
    this.#tell(waiter, false);
    if (this.#waiters.size > 0) return;
    this.#options.time.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Resolves to `true` when the request may try again, to `false` when it has left. */
  next(ticket: Ticket): Promise<boolean> {
    const waiter = ticket as Waiter;
    if (!this.#waiters.has(waiter)) return Promise.resolve(false);
    if (waiter.resolve === undefined) this.#asleep += 1;
    return new Promise((resolve) => {
      waiter.resolve = resolve;
    });
  }

  /**
   * Waits until the lease is valid; `false`: it took longer than `waitMs`, every place is taken, or the client left.
   */
  async lease(
    bytes: number,
    waitMs: number,
    client: Pick<Exchange, 'user' | 'clientAddress' | 'onClose'>,
  ): Promise<boolean> {
    const { time, lease } = this.#options;
    const leave = (): void => {
      if (ticket !== undefined) this.remove(ticket);
    };
    const ticket =
      waitMs > 0
        ? this.enter(shareKey(client.user, client.clientAddress), bytes, time.monotonic() + waitMs, leave)
        : undefined;
    if (ticket === undefined) return false;
    client.onClose(leave);
    while (await this.next(ticket)) {
      if (!lease.valid) continue;
      leave();
      return true;
    }
    return false;
  }

  /** The lease is valid again, or the store answers. */
  wake(): void {
    if (this.#asleep === 0) return;
    const running = this.#waking !== undefined;
    // From the oldest again: a request may have tried and failed since the last wake. Each served request wakes the
    // others, so a second pass beside the first would wake too many in one turn.
    this.#waking = this.#waiters.values();
    if (!running) this.#wakeSome();
  }

  #wakeSome(): void {
    for (let woken = 0; woken < WOKEN_PER_TURN;) {
      const next = this.#waking?.next();
      if (next === undefined || next.done === true) {
        this.#waking = undefined;
        return;
      }
      if (next.value.resolve === undefined) continue;
      this.#tell(next.value, true);
      woken += 1;
    }
    afterTurn(() => this.#wakeSome());
  }

  /** Refuses every request that waits, once the endpoint has drained or closes. */
  refuseAll(): void {
    for (const waiter of this.#waiters) waiter.expired();
  }

  #arm(): void {
    const { time, random, lease } = this.#options;
    // After a suspend the lease is renewed now instead of at its next tick.
    if (!lease.valid) lease.renewNow();
    const jitter = ((random(1)[0] ?? 0) / 256) * JITTER_MS;
    this.#timer = time.setTimeout(() => {
      this.#timer = undefined;
      this.#round();
    }, ROUND_MS + jitter);
  }

  #round(): void {
    let probes = this.#options.lease.valid ? PROBES : 0;
    const now = this.#options.time.monotonic();
    for (const waiter of this.#waiters) {
      if (this.#refuses || now >= waiter.deadline) waiter.expired();
      else if (probes > 0 && waiter.resolve !== undefined) {
        probes -= 1;
        this.#tell(waiter, true);
      }
    }
    if (this.#waiters.size > 0) this.#arm();
  }

  #tell(waiter: Waiter, again: boolean): void {
    const { resolve } = waiter;
    if (resolve === undefined) return;
    waiter.resolve = undefined;
    this.#asleep -= 1;
    resolve(again);
  }
}
