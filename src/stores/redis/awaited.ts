/**
 * The answers that one connection owes, oldest first. One timer watches for the oldest. A busy event loop is not taken for a
 * server that says nothing: what arrived meanwhile is read before it is judged.
 */
import { afterTurn } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';

export const monotonic = (time: TimeProvider): number => time.monotonic?.() ?? time.now();

/** Those that have come go so many at a time, where some are always under way. */
const ANSWERED_KEPT = 1_024;

export class Awaited {
  readonly #time: TimeProvider;
  readonly #limitMs: () => number;
  readonly #late: () => void;
  /** When each is too late. */
  #due: number[] = [];
  #head = 0;
  #watching = false;
  #timer: unknown;

  /** `late` is called when the oldest has not come within `limitMs`. */
  constructor(time: TimeProvider, limitMs: () => number, late: () => void) {
    this.#time = time;
    this.#limitMs = limitMs;
    this.#late = late;
  }

  asked(): void {
    this.#due.push(monotonic(this.#time) + this.#limitMs());
    if (!this.#watching) this.#watch();
  }

  /** Answers come in the order of asking. */
  answered(): void {
    this.#head += 1;
    if (this.#head === this.#due.length) this.clear();
    else if (this.#head === ANSWERED_KEPT) {
      this.#due = this.#due.slice(this.#head);
      this.#head = 0;
    }
  }

  /** None of them comes any more. */
  clear(): void {
    this.#due = [];
    this.#head = 0;
  }

  stop(): void {
    this.clear();
    if (this.#timer !== undefined) this.#time.clearTimeout(this.#timer);
  }

  #watch(): void {
    this.#watching = true;
    const wait = Math.max(1, (this.#due[this.#head] ?? 0) - monotonic(this.#time));
    this.#timer = this.#time.setTimeout(() => {
      // Twice: the first may still be of the turn that was busy.
      afterTurn(() => afterTurn(() => this.#judge()));
    }, wait);
  }

  #judge(): void {
    this.#watching = false;
    const due = this.#due[this.#head];
    if (due === undefined) return;
    if (due > monotonic(this.#time)) this.#watch();
    else this.#late();
  }
}
