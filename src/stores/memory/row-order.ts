/**
 * The rows of a kind in the order of their ids, or of their wake times and then their ids. The order is cut into blocks
 * by bounds, and a block is sorted when it is read or divided: a row that is added goes to the end of its block, and no
 * other row in the heap is looked at. Bounds are numbers beside each other: the wake time, or the first letters of an
 * id.
 */
import type { HeldRow } from './held-row.ts';

/** Rows of one block. */
const MOST = 128;

/** Letters of an id in its key. With 16 bits each they are an integer that a number keeps. */
const LETTERS = 3;

export class RowOrder {
  readonly #byWake: boolean;
  readonly #blocks: HeldRow[][] = [[]];
  /** The place of the first row that each block may have: its key, and its id. */
  readonly #keys: number[] = [-Infinity];
  readonly #ids: string[] = [''];
  readonly #unsorted = new Set<HeldRow[]>();

  constructor(by: 'id' | 'wake') {
    this.#byWake = by === 'wake';
  }

  add(row: HeldRow): void {
    const at = this.#blockOf(this.#keyOf(row), row.id);
    const block = this.#blocks[at] as HeldRow[];
    block.push(row);
    this.#unsorted.add(block);
    if (block.length > MOST) this.#divide(at);
  }

  #divide(at: number): void {
    const upper = this.#sorted(at).splice(MOST / 2);
    const [first] = upper as [HeldRow];
    this.#blocks.splice(at + 1, 0, upper);
    this.#keys.splice(at + 1, 0, this.#keyOf(first));
    this.#ids.splice(at + 1, 0, first.id);
  }

  /** Call it before the time of the row changes. */
  delete(row: HeldRow): void {
    const at = this.#blockOf(this.#keyOf(row), row.id);
    const block = this.#blocks[at] as HeldRow[];
    const index = block.indexOf(row);
    if (index === -1) return;
    const last = block.pop() as HeldRow;
    if (last !== row) {
      block[index] = last;
      this.#unsorted.add(block);
    }
    if (block.length > 0 || at === 0) return;
    this.#unsorted.delete(block);
    for (const each of [this.#blocks, this.#keys, this.#ids]) each.splice(at, 1);
  }

  /** Rows after an id and before another. */
  pageById(after: string, before: string, limit: number): HeldRow[] {
    return this.#page(firstLetters(after), after, (row) => row.id < before, limit);
  }

  /** Rows after a place whose time is at most `until`. */
  pageByWake(time: number, id: string, until: number, limit: number): HeldRow[] {
    return this.#page(time, id, ({ wakeAt }) => wakeAt !== null && wakeAt <= until, limit);
  }

  #page(key: number, id: string, isWithin: (row: HeldRow) => boolean, limit: number): HeldRow[] {
    const found: HeldRow[] = [];
    const first = this.#blockOf(key, id);
    for (let at = first; at < this.#blocks.length; at++) {
      for (const row of this.#sorted(at)) {
        const own = this.#keyOf(row);
        if (at === first && (own < key || (own === key && row.id <= id))) continue;
        if (found.length >= limit || !isWithin(row)) return found;
        found.push(row);
      }
    }
    return found;
  }

  /** How many rows `pageById` would find without a limit. */
  count(after: string, before: string): number {
    return Math.max(0, this.#rank(before) - this.#rank(`${after}\0`));
  }

  /** How many rows are before an id. */
  #rank(id: string): number {
    const last = this.#blockOf(firstLetters(id), id);
    let count = 0;
    for (let at = 0; at < last; at++) count += this.#blocks[at]?.length ?? 0;
    for (const row of this.#blocks[last] ?? []) if (row.id < id) count++;
    return count;
  }

  #keyOf({ id, wakeAt }: HeldRow): number {
    return this.#byWake ? (wakeAt ?? Infinity) : firstLetters(id);
  }

  /** The last block whose bound is not after a place. */
  #blockOf(key: number, id: string): number {
    let low = 1;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const bound = this.#keys[middle] as number;
      if (bound < key || (bound === key && (this.#ids[middle] as string) <= id)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #sorted(at: number): HeldRow[] {
    const block = this.#blocks[at] as HeldRow[];
    if (!this.#unsorted.delete(block)) return block;
    return block.sort((one, other) => this.#keyOf(one) - this.#keyOf(other) || (one.id < other.id ? -1 : 1));
  }
}

/** Ids in their order have keys in this order. */
function firstLetters(id: string): number {
  let key = 0;
  for (let i = 0; i < LETTERS; i++) key = key * 0x1_00_00 + (i < id.length ? id.charCodeAt(i) : 0);
  return key;
}
