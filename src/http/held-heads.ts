/**
 * Answers that are complete and wait only for the store to take them: their heads are kept back for a moment, so that head
 * and answer leave in one write. One timer for all of them, and only while there are any.
 */
import type { TimeProvider } from '../types.ts';

/** A store of the same network answers sooner, also a busy one; a slower one costs a client so long, twice at most. */
const HELD_MS = 5;

export interface HeldHead {
  /** It need not do anything any more by then. */
  release(): void;
}

export class HeldHeads {
  readonly #time: TimeProvider;
  #earlier: HeldHead[] = [];
  #later: HeldHead[] = [];
  #armed = false;

  constructor(time: TimeProvider) {
    this.#time = time;
  }

  /** Until it is released. */
  hold(head: HeldHead): void {
    this.#later.push(head);
    this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#time.setTimeout(() => this.#tick(), HELD_MS);
  }

  #tick(): void {
    const due = this.#earlier;
    this.#earlier = this.#later;
    this.#later = [];
    this.#armed = false;
    if (this.#earlier.length > 0) this.#arm();
    for (const head of due) head.release();
  }
}
