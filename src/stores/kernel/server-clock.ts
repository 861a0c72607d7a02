/**
 * The clock of a server, asked now and then. Between two answers the monotonic clock of this process counts on from the
 * last one. An answer counts from the moment at which it arrived, so this clock is late by at most the way of the
 * answer, and never ahead of the server.
 */
import { monotonicMs } from '../../base/system.ts';
import type { MaybePromise, TimeProvider } from '../../types.ts';

/** Clocks of machines run apart by some µs a second. */
const ASKED_MS = 5_000;

export interface ServerClockOptions {
  readonly time: TimeProvider;
  /** ms since 1970 by the clock of the server. */
  ask(): Promise<number>;
  /** How long an answer is good for. 0: each call asks. */
  readonly goodMs?: number;
}

export class ServerClock {
  readonly #time: TimeProvider;
  readonly #ask: () => Promise<number>;
  readonly #goodMs: number;
  #asking: Promise<number> | undefined = undefined;
  /** What the server's clock is ahead of the monotonic clock, and when it was asked. */
  #known: { readonly ahead: number; readonly at: number } | undefined = undefined;

  constructor({ time, ask, goodMs = ASKED_MS }: ServerClockOptions) {
    this.#time = time;
    this.#ask = ask;
    this.#goodMs = goodMs;
  }

  now(): MaybePromise<number> {
    const at = monotonicMs(this.#time);
    const known = this.#known;
    if (known !== undefined && at - known.at < this.#goodMs) return known.ahead + at;
    const asking = this.#goodMs === 0 ? this.#refresh() : (this.#asking ??= this.#refresh());
    // A caller that does not wait for the answer, such as an append, does not learn that there is none.
    asking.catch(() => undefined);
    return asking;
  }

  /** The next call asks: the server may be another one. */
  forget(): void {
    this.#known = undefined;
  }

  async #refresh(): Promise<number> {
    try {
      const now = await this.#ask();
      const at = monotonicMs(this.#time);
      this.#known = { ahead: now - at, at };
      return now;
    } finally {
      this.#asking = undefined;
    }
  }
}
