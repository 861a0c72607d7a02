/** How many requests a user or a tool may send in a minute. What is not used in a minute is lost. */
import type { TimeProvider } from '../../base/types.ts';

const MINUTE_MS = 60_000;
/** Times are sums of fractions. */
const ROUNDING_MS = 1e-3;

/** It refills evenly: each request that is taken needs its part of a minute. */
export class TokenBucket {
  readonly #requestMs: number;
  readonly #time: Required<TimeProvider>;
  /** When the bucket is full again, on the monotonic clock. */
  #fullAt = 0;

  constructor(perMinute: number, time: Required<TimeProvider>) {
    this.#requestMs = MINUTE_MS / perMinute;
    this.#time = time;
  }

  /** Takes a request, or returns the ms until the next one may come; 0: it was taken. */
  take(): number {
    const now = this.#time.monotonic();
    const fullAt = Math.max(now, this.#fullAt) + this.#requestMs;
    const waitMs = fullAt - now - MINUTE_MS;
    if (waitMs > ROUNDING_MS) return waitMs;
    this.#fullAt = fullAt;
    return 0;
  }

  giveBack(): void {
    this.#fullAt -= this.#requestMs;
  }
}
