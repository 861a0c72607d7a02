/** Ended sessions, remembered for `tombstoneMs` and at most `limit` of them. The oldest are forgotten first. */
import type { EndedSession } from '../store.ts';

/** The queue drops forgotten entries at its head in batches of at least this many: O(1) amortised. */
const COMPACT_AT = 1_024;

export class Tombstones {
  readonly #byId = new Map<string, EndedSession>();
  #queue: EndedSession[] = [];
  #head = 0;
  readonly #ttlMs: number;
  readonly #limit: number;

  constructor(ttlMs: number, limit: number) {
    this.#ttlMs = ttlMs;
    this.#limit = limit;
  }

  /** The number of tombstones, including those that are too old. */
  get size(): number {
    return this.#byId.size;
  }

  /** The length of the queue, including forgotten entries. */
  get places(): number {
    return this.#queue.length;
  }

  keeps(ended: EndedSession, now: number): boolean {
    return ended.at + this.#ttlMs > now;
  }

  find(id: string, now: number): EndedSession | undefined {
    const ended = this.#byId.get(id);
    return ended !== undefined && this.keeps(ended, now) ? ended : undefined;
  }

  add(ended: EndedSession, now: number): void {
    this.#byId.set(ended.id, ended);
    this.#queue.push(ended);
    this.forget(now);
  }

  /** Drops tombstones that are too old or over the limit. */
  forget(now: number): void {
    for (;;) {
      const oldest = this.#queue[this.#head];
      if (oldest === undefined || (this.keeps(oldest, now) && this.#byId.size <= this.#limit)) break;
      // A session of the same id may have been created and ended again. The map has its latest end only.
      if (this.#byId.get(oldest.id) === oldest) this.#byId.delete(oldest.id);
      this.#head++;
    }
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}
