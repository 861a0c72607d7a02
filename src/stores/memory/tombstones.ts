/** Ended sessions, remembered for `tombstoneMs` and at most `limit` of them; the oldest are forgotten first. */
import type { EndedSession } from '../store.ts';

/** Forgotten places at the head of the queue are given back in batches of at least this many: O(1) amortised. */
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

  /** How many are held, also of those past their time. */
  get size(): number {
    return this.#byId.size;
  }

  /** How long the queue is, with what is forgotten still in it. */
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

  /** Drops what is past its time or over the limit. */
  forget(now: number): void {
    for (;;) {
      const oldest = this.#queue[this.#head];
      if (oldest === undefined || (this.keeps(oldest, now) && this.#byId.size <= this.#limit)) break;
      // The id may have been opened and ended again since: only its latest end is in the map.
      if (this.#byId.get(oldest.id) === oldest) this.#byId.delete(oldest.id);
      this.#head++;
    }
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}
