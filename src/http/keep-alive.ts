/**
 * Writes keep-alive comments to every open stream from one timer. Streams are spread over fifteen slots, and each tick
 * walks one slot. Ten thousand streams thus cost a fifteenth of their writes at a time. The timer runs only while there
 * are streams.
 */
import type { TimeProvider } from '../types.ts';

const SLOTS = 15;

export interface KeepAliveTarget {
  slot: number;
  keepAlive(): void;
}

export class KeepAlive {
  readonly #time: TimeProvider;
  readonly #tickMs: number;
  readonly #slots: Array<Set<KeepAliveTarget>> = Array.from({ length: SLOTS }, () => new Set());
  #size = 0;
  #hand = 0;
  #timer: unknown;

  /** `intervalMs` Infinity: no comments. */
  constructor(time: TimeProvider, intervalMs: number) {
    this.#time = time;
    this.#tickMs = Math.max(1, intervalMs / SLOTS);
  }

  add(stream: KeepAliveTarget): void {
    if (this.#tickMs === Infinity) return;
    stream.slot = this.#emptiest();
    this.#slots[stream.slot]?.add(stream);
    this.#size += 1;
    this.#timer ??= this.#time.setTimeout(() => this.#tick(), this.#tickMs);
  }

  remove(stream: KeepAliveTarget): void {
    if (stream.slot < 0) return;
    if (this.#slots[stream.slot]?.delete(stream)) this.#size -= 1;
    stream.slot = -1;
    if (this.#size === 0) this.stop();
  }

  stop(): void {
    if (this.#timer === undefined) return;
    this.#time.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Among equally empty slots, the slot that was walked last: a new stream then waits longest for its first comment.
   */
  #emptiest(): number {
    let found = 0;
    let least = Infinity;
    for (let back = 1; back <= SLOTS; back++) {
      const slot = (this.#hand + SLOTS - back) % SLOTS;
      const size = this.#slots[slot]?.size ?? 0;
      if (size < least) [found, least] = [slot, size];
    }
    return found;
  }

  #tick(): void {
    this.#timer = this.#time.setTimeout(() => this.#tick(), this.#tickMs);
    const due = this.#slots[this.#hand];
    this.#hand = (this.#hand + 1) % SLOTS;
    if (due !== undefined) for (const stream of due) stream.keepAlive();
  }
}
