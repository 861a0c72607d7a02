/** How many requests a user or a tool may send in a minute. What is not used in a minute is lost. */
import type { TimeProvider } from '../types.ts';

const MINUTE_MS = 60_000;
/** Tokens are sums of fractions. */
const WHOLE_TOKEN = 1 - 1e-6;

/** It refills evenly. */
export class TokenBucket {
  readonly #perMinute: number;
  readonly #time: Required<TimeProvider>;
  #tokens: number;
  #at: number;

  constructor(perMinute: number, time: Required<TimeProvider>) {
    this.#perMinute = perMinute;
    this.#time = time;
    this.#tokens = perMinute;
    this.#at = time.monotonic();
  }

  /** Takes a request, or returns the ms until the next one may come; 0: it was taken. */
  take(): number {
    const now = this.#time.monotonic();
    const refilled = ((now - this.#at) / MINUTE_MS) * this.#perMinute;
    this.#tokens = Math.min(this.#perMinute, this.#tokens + refilled);
    this.#at = now;
    if (this.#tokens < WHOLE_TOKEN) return ((1 - this.#tokens) / this.#perMinute) * MINUTE_MS;
    this.#tokens -= 1;
    return 0;
  }

  giveBack(): void {
    this.#tokens += 1;
  }
}
