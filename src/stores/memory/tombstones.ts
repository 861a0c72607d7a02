/** Ended records, remembered until their time is over. Past a limit the oldest are forgotten first. */
import type { EndedRecord } from '../store.ts';

/** The queue drops forgotten entries at its head in batches of at least this many: O(1) amortised. */
const COMPACT_AT = 1_024;
/** Longer outcomes count against the limit of characters. */
const SHORT = 64;

interface Tombstone extends EndedRecord {
  readonly forgetAt: number;
}

export class Tombstones {
  readonly #byId = new Map<string, Tombstone>();
  #queue: Tombstone[] = [];
  #head = 0;
  readonly #most: number;
  readonly #mostCharacters: number;
  #characters = 0;

  /** Remembers `most` ends, and `mostCharacters` of long outcomes. */
  constructor(most: number, mostCharacters: number) {
    this.#most = most;
    this.#mostCharacters = mostCharacters;
  }

  /** The number of tombstones, including those that are too old. */
  get size(): number {
    return this.#byId.size;
  }

  /** The length of the queue, including forgotten entries. */
  get places(): number {
    return this.#queue.length;
  }

  find(id: string, now: number): EndedRecord | undefined {
    const found = this.#byId.get(id);
    if (found === undefined || found.forgetAt <= now) return undefined;
    const { outcome, at } = found;
    return { id, outcome, at };
  }

  add({ id, outcome, at }: EndedRecord, forgetAt: number, now: number): void {
    this.#remove(this.#byId.get(id));
    const tombstone = { id, outcome, at, forgetAt };
    this.#byId.set(id, tombstone);
    this.#queue.push(tombstone);
    this.#characters += weightOf(tombstone);
    this.forget(now);
  }

  /** Drops tombstones that are too old, as far as no earlier end is kept longer, and those over the limits. */
  forget(now: number): void {
    for (;;) {
      const oldest = this.#queue[this.#head];
      if (oldest === undefined || (oldest.forgetAt > now && !this.#full)) break;
      this.#remove(oldest);
      this.#head++;
    }
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  get #full(): boolean {
    return this.#byId.size > this.#most || this.#characters > this.#mostCharacters;
  }

  /** A record of the same id may have been created and ended again. The map has its latest end only. */
  #remove(tombstone: Tombstone | undefined): void {
    if (tombstone === undefined || this.#byId.get(tombstone.id) !== tombstone) return;
    this.#byId.delete(tombstone.id);
    this.#characters -= weightOf(tombstone);
  }
}

const weightOf = ({ outcome }: EndedRecord): number => (outcome.length > SHORT ? outcome.length : 0);
