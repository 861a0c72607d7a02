/**
 * Waits until another process releases the file. SQLite's own waiting would block the event loop.
 *
 * A writer holds the file for a fraction of a millisecond, so the first tries follow turn by turn. Later tries use
 * timers with jitter, so that two processes do not collide again. After BUSY_LIMIT_MS the store counts as away.
 */
import { afterTurn, backoffMs, elapse, keepingProcess, monotonicMs, type RandomSource } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';

/** Less than the default lease of 3 s: an instance that cannot write must know before its lease runs out. */
export const BUSY_LIMIT_MS = 2_000;

/** An idle turn takes some 10 µs, about as long as a group commit of another process. */
const TURNS = 8;
const LONGEST_WAIT_MS = 50;

export class RetryBackoff {
  readonly time: TimeProvider;
  readonly #random: RandomSource;

  constructor(time: TimeProvider, random: RandomSource) {
    this.time = time;
    this.#random = random;
  }

  now(): number {
    return monotonicMs(this.time);
  }

  /** Waits before try number `tries + 1`. */
  wait(tries: number, then: () => void): void {
    if (tries <= TURNS) return afterTurn(then);
    // The provider's timers do not keep the process alive, but this write must not be lost when the process exits.
    const ms = backoffMs(tries - TURNS, 1, LONGEST_WAIT_MS, this.#random);
    void keepingProcess(() => elapse(this.time, ms)).then(then);
  }
}
