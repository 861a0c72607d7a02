/**
 * The clock of a server, asked now and then. Between two answers the monotonic clock of this process counts on from the
 * last one. An answer counts from the moment at which it arrived, so this clock is late by at most the way of the
 * answer, and never ahead of the server.
 */
import { monotonicMs } from '../../base/system.ts';
import type { MaybePromise, TimeProvider } from '../../base/types.ts';

/** Clocks of machines run apart by some µs a second. */
const ASKED_MS = 5_000;
/**
 * The two clocks of a process move apart by more only where the date was set or the machine was suspended. An answer
 * takes longer only where the process was frozen, or the server is slow.
 */
const APART_MS = 100;
/** How often an answer is asked for again that may have waited while the machine was suspended, or the process frozen. */
const TRIES = 3;

interface ServerClockOptions {
  readonly time: TimeProvider;
  /** ms since 1970 by the clock of the server. */
  ask(): Promise<number>;
}

export class ServerClock {
  readonly #time: TimeProvider;
  readonly #ask: () => Promise<number>;
  #asking: Promise<number> | undefined = undefined;
  /**
   * What the server's clock is ahead of the monotonic clock, and when it was asked. `date`: what the date was ahead of
   * it. The monotonic clock stops while the machine is suspended, and the server's does not.
   */
  #known: { readonly ahead: number; readonly at: number; readonly date: number } | undefined =
    undefined;

  constructor({ time, ask }: ServerClockOptions) {
    this.#time = time;
    this.#ask = ask;
  }

  now(): MaybePromise<number> {
    const at = monotonicMs(this.#time);
    const known = this.#known;
    const isGood =
      known !== undefined && at - known.at < ASKED_MS && !this.#movedApart(known.date, at);
    if (isGood) return known.ahead + at;
    const asking = (this.#asking ??= this.#refresh());
    // A caller that does not wait for the answer, such as an append, does not learn that there is none.
    asking.catch(() => undefined);
    return asking;
  }

  /** The next call asks: the server may be another one. */
  forget(): void {
    this.#known = undefined;
  }

  #movedApart(date: number, at: number): boolean {
    return Math.abs(this.#time.now() - at - date) > APART_MS;
  }

  async #refresh(): Promise<number> {
    try {
      for (let tries = 1; ; tries++) {
        const began = monotonicMs(this.#time);
        const date = this.#time.now() - began;
        const now = await this.#ask();
        const at = monotonicMs(this.#time);
        if (tries < TRIES && (at - began > APART_MS || this.#movedApart(date, at))) continue;
        this.#known = { ahead: now - at, at, date };
        return now;
      }
    } finally {
      this.#asking = undefined;
    }
  }
}
