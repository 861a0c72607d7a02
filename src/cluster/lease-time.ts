/**
 * How long a lease is still valid. The remaining time is the smaller of what the monotonic clock and the wall clock
 * show, counted from before the renewal was sent: suspending the machine stops the monotonic clock, and the wall clock
 * can be set.
 */
import type { TimeProvider } from '../types.ts';

/** A time by both clocks, in ms. */
export interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

const NEVER: Moment = { monotonic: -Infinity, wall: -Infinity };

export class LeaseTime {
  readonly #time: Required<TimeProvider>;
  readonly #leaseMs: number;
  #until = NEVER;

  constructor(time: Required<TimeProvider>, leaseMs: number) {
    this.#time = time;
    this.#leaseMs = leaseMs;
  }

  get now(): Moment {
    return { monotonic: this.#time.monotonic(), wall: this.#time.now() };
  }

  /** The lease is valid from when its renewal was sent. */
  extend({ monotonic, wall }: Moment): void {
    this.#until = { monotonic: monotonic + this.#leaseMs, wall: wall + this.#leaseMs };
  }

  end(): void {
    this.#until = NEVER;
  }

  get inTime(): boolean {
    return this.remainingMs > 0;
  }

  get remainingMs(): number {
    const { monotonic, wall } = this.#until;
    return Math.max(0, Math.min(monotonic - this.#time.monotonic(), wall - this.#time.now()));
  }

  /** When the last renewal was sent, by the monotonic clock. */
  get renewalSentAt(): number {
    return this.#until.monotonic - this.#leaseMs;
  }
}
