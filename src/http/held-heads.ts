/**
 * Holds heads while an event of their stream is being stored: often it is the answer, and then both leave in one write.
 * One timer serves all of them, and it runs only while heads are held.
 */
import type { TimeProvider } from '../types.ts';

/**
 * A store on the same network answers sooner, even under load. With a slower store a client waits at most twice this
 * long.
 */
const HELD_MS = 5;

export interface HeldHead {
  /** Called when the head was held long enough. The head may have been sent by then. */
  sendHeldHead(): void;
}

export class HeldHeads {
  readonly #time: TimeProvider;
  #earlier: HeldHead[] = [];
  #later: HeldHead[] = [];
  #armed = false;

  constructor(time: TimeProvider) {
    this.#time = time;
  }

  /** Holds the head for 5 to 10 ms. */
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
    for (const head of due) head.sendHeldHead();
  }
}
