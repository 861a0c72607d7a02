/**
 * Items in the order of a place. They are in sorted blocks, so an item is found, added and removed in some twenty
 * comparisons, and the block that moves is short.
 */

/** Places are compared by their numbers, then by their texts. */
export type Place = readonly [number: number, text: string];

/** Items of one block. */
const MOST = 512;

export interface Placing<T> {
  of(item: T): Place;
  /** Below 0: the item is before the place; 0: it is there; above 0: it is after. */
  compare(item: T, place: Place): number;
}

export class SortedOrder<T> {
  readonly #placing: Placing<T>;
  readonly #blocks: T[][] = [];

  constructor(placing: Placing<T>) {
    this.#placing = placing;
  }

  add(item: T): void {
    const place = this.#placing.of(item);
    const at = this.#blockOf(place);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([item]);
      return;
    }
    block.splice(this.#indexIn(block, place), 0, item);
    if (block.length > MOST) this.#blocks.splice(at + 1, 0, block.splice(MOST / 2));
  }

  /** Call it while the item has the place with which it was added. */
  delete(item: T): void {
    const place = this.#placing.of(item);
    const at = this.#blockOf(place);
    const block = this.#blocks[at];
    if (block === undefined) return;
    const index = this.#indexIn(block, place);
    if (block[index] !== item) return;
    block.splice(index, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** Items after one place and before another. */
  between(after: Place, before: Place, limit: number): T[] {
    const found: T[] = [];
    const first = this.#blockOf(after);
    for (let at = first; at < this.#blocks.length; at++) {
      const block = this.#blocks[at] ?? [];
      for (let i = at === first ? this.#indexIn(block, after) : 0; i < block.length; i++) {
        const item = block[i] as T;
        if (found.length >= limit || this.#placing.compare(item, before) >= 0) return found;
        if (this.#placing.compare(item, after) > 0) found.push(item);
      }
    }
    return found;
  }

  count(after: Place, before: Place): number {
    return Math.max(0, this.#rank(before) - this.#rank(after) - (this.#has(after) ? 1 : 0));
  }

  /** How many items are before a place. */
  #rank(place: Place): number {
    const last = this.#blockOf(place);
    let count = 0;
    for (let at = 0; at < last; at++) count += this.#blocks[at]?.length ?? 0;
    return count + this.#indexIn(this.#blocks[last] ?? [], place);
  }

  #has(place: Place): boolean {
    const block = this.#blocks[this.#blockOf(place)] ?? [];
    const item = block[this.#indexIn(block, place)];
    return item !== undefined && this.#placing.compare(item, place) === 0;
  }

  /** The last block whose first item is not after a place. */
  #blockOf(place: Place): number {
    let [low, high] = [0, this.#blocks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#blocks[middle]?.[0];
      if (first !== undefined && this.#placing.compare(first, place) > 0) high = middle;
      else low = middle + 1;
    }
    return Math.max(0, low - 1);
  }

  /** The index of the first item that is not before a place. */
  #indexIn(block: readonly T[], place: Place): number {
    let [low, high] = [0, block.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const item = block[middle];
      if (item !== undefined && this.#placing.compare(item, place) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
