/** How many requests a user or a tool may send in a minute. What is not used in a minute is lost. */
import { BoundedMap } from '../base/bounded-map.ts';
import type { TimeProvider } from '../types.ts';

const MINUTE_MS = 60_000;
/** Tokens are sums of fractions. */
const WHOLE_TOKEN = 1 - 1e-6;
/** Users whose requests are counted. */
const USERS_KEPT = 10_000;

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

/** The buckets of the users. Past `USERS_KEPT` the one that asked longest ago begins anew. */
export class UserRates {
  readonly #perMinute: number;
  readonly #time: Required<TimeProvider>;
  readonly #buckets = new BoundedMap<string, TokenBucket>(USERS_KEPT);

  constructor(perMinute: number, time: Required<TimeProvider>) {
    this.#perMinute = perMinute;
    this.#time = time;
  }

  of(user: string): TokenBucket {
    let bucket = this.#buckets.use(user);
    if (bucket === undefined) this.#buckets.set(user, (bucket = new TokenBucket(this.#perMinute, this.#time)));
    return bucket;
  }
}
