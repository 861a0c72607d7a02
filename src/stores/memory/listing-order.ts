/** Records in the order of their creation, so that a page can start at any place. A place is never given twice. */
import type { StoredRecord } from '../store.ts';
import { HeldRecord } from './held-record.ts';

/** From this length on, the list drops the places of removed records once they are half of it: O(1) amortised. */
const COMPACT_AT = 64;

export class MemoryListingOrder {
  /** Sorted by place. A removed record leaves its place number. */
  #records: Array<HeldRecord | number> = [];
  #next = 0;
  #gone = 0;

  /** The length of the list, including the places of removed records. */
  get places(): number {
    return this.#records.length;
  }

  /** How many records it has. */
  get size(): number {
    return this.#records.length - this.#gone;
  }

  append(record: StoredRecord): HeldRecord {
    const held = new HeldRecord(record, this.#next++);
    this.add(held);
    return held;
  }

  /** A record whose place is higher than all before. */
  add(held: HeldRecord): void {
    this.#records.push(held);
  }

  remove({ place }: HeldRecord): void {
    this.#records[this.#firstFrom(place)] = place;
    this.#gone++;
    if (this.#records.length < COMPACT_AT || this.#gone * 2 < this.#records.length) return;
    this.#records = this.#records.filter((held) => typeof held !== 'number');
    this.#gone = 0;
  }

  *after(place: number): Generator<HeldRecord> {
    const records = this.#records;
    for (let i = this.#firstFrom(place + 1); i < records.length; i++) {
      const held = records[i];
      if (held !== undefined && typeof held !== 'number') yield held;
    }
  }

  /** The index of the first place that is not lower than `place`. */
  #firstFrom(place: number): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (placeOf(this.#records[middle]) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function placeOf(entry: HeldRecord | number | undefined): number {
  return typeof entry === 'number' ? entry : (entry?.place ?? Infinity);
}
