/**
 * The replies that one connection still owes, oldest first. One timer watches the oldest of them. Before a reply counts
 * as late, the event loop reads what has arrived, so that a busy process does not take its server for a silent one.
 */
import { afterReading } from '../../base/system.ts';
import type { Deadlines } from './deadlines.ts';

export class PendingReplies {
  readonly #deadlines: Deadlines;
  readonly #late: () => void;
  /** The time at which each reply counts as late. */
  #due: number[] = [];
  #watching = false;
  #timer: unknown;

  /** `late` is called when the oldest reply has not come in time. */
  constructor(deadlines: Deadlines, late: () => void) {
    this.#deadlines = deadlines;
    this.#late = late;
  }

  /** Answers how many replies are pending now. */
  sent(): number {
    const pending = this.#due.push(this.#deadlines.deadline());
    if (!this.#watching) this.#watch();
    return pending;
  }

  /** Replies come in the order of the commands. Answers how many are pending now. */
  received(): number {
    this.#due.shift();
    return this.#due.length;
  }

  /** No pending reply will come any more. */
  clear(): void {
    this.#due = [];
  }

  stop(): void {
    this.clear();
    if (this.#timer !== undefined) this.#deadlines.time.clearTimeout(this.#timer);
  }

  #watch(): void {
    this.#watching = true;
    const wait = Math.max(1, (this.#due[0] ?? 0) - this.#deadlines.now());
    this.#timer = this.#deadlines.time.setTimeout(() => afterReading(() => this.#judge()), wait);
  }

  #judge(): void {
    this.#watching = false;
    const [due] = this.#due;
    if (due === undefined) return;
    if (due > this.#deadlines.now()) this.#watch();
    else this.#late();
  }
}
