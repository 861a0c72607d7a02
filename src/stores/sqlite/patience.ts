/**
 * Waiting for another process to let go of the file, without holding up the event loop: SQLite's own waiting would block
 * it. A writer holds the file for a fraction of a millisecond, so the first tries follow each other by the turn; then by
 * timers with jitter, so that two processes do not meet again; then the file counts as away.
 */
import { afterTurn, type RandomSource } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';

/** Less than the default lease of 3 s: who cannot write for that long must hear of it before its lease has run out. */
export const BUSY_LIMIT_MS = 2_000;

/** A turn takes some 10 µs when idle: as long as the other side's group commit takes. */
const TURNS = 8;
const LONGEST_WAIT_MS = 50;

export class Patience {
  readonly #time: TimeProvider;
  readonly #random: RandomSource;

  constructor(time: TimeProvider, random: RandomSource) {
    this.#time = time;
    this.#random = random;
  }

  now(): number {
    return this.#time.monotonic?.() ?? this.#time.now();
  }

  /** Before try number `tries + 1`. */
  wait(tries: number, then: () => void): void {
    if (tries <= TURNS) return afterTurn(then);
    // The provider's timers keep no process alive, and what is waited for here must not be lost to its exit.
    const { port1: alive } = new MessageChannel();
    alive.ref();
    this.#time.setTimeout(
      () => {
        alive.close();
        then();
      },
      this.#waitMs(tries - TURNS),
    );
  }

  #waitMs(round: number): number {
    const jitter = 0.5 + (this.#random(1)[0] ?? 0) / 256;
    return Math.min(LONGEST_WAIT_MS, 2 ** Math.min(round, 10)) * jitter;
  }
}
