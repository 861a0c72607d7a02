/**
 * Rows in the order of their ids, or of their wake times or stamps and then their ids. The order is cut into blocks by
 * bounds, and a block is sorted when it is read or divided: a row that is added goes to the end of its block, and no
 * other row in the heap is looked at. Rows that come in their order leave their block sorted.
 */
import type { DuePlace, Row } from '../kernel/backend.ts';
import type { StoredRecord } from '../store.ts';

/** Rows of one block. */
const MOST = 128;

/** In the order of ids, all times are 0. */
const TIME_OF = {
  id: () => 0,
  wake: ({ wakeAt }: Row) => wakeAt ?? Infinity,
  stamp: ({ value }: Row) => (value as StoredRecord).stamp,
};

/** Before every row. */
export const START: DuePlace = [-Infinity, ''];

export class RowOrder {
  readonly #timeOf: (row: Row) => number;
  readonly #blocks: Row[][] = [[]];
  /** The first place of each block. */
  readonly #bounds: DuePlace[] = [START];
  readonly #unsorted = new Set<Row[]>();
  #size = 0;

  constructor(by: keyof typeof TIME_OF) {
    this.#timeOf = TIME_OF[by];
  }

  get size(): number {
    return this.#size;
  }

  add(row: Row): void {
    const at = this.#blockOf(this.#timeOf(row), row.id);
    const block = this.#blocks[at] as Row[];
    const last = block.at(-1);
    block.push(row);
    if (last !== undefined && this.#compare(last, row) > 0) this.#unsorted.add(block);
    this.#size += 1;
    if (block.length > MOST) this.#divide(at);
  }

  #divide(at: number): void {
    const upper = this.#sorted(at).splice(MOST / 2);
    const [first] = upper as [Row];
    this.#blocks.splice(at + 1, 0, upper);
    this.#bounds.splice(at + 1, 0, [this.#timeOf(first), first.id]);
  }

  delete(row: Row): void {
    const at = this.#blockOf(this.#timeOf(row), row.id);
    const block = this.#blocks[at] as Row[];
    const index = block.indexOf(row);
    if (index === -1) return;
    block.splice(index, 1);
    this.#size -= 1;
    if (block.length > 0 || at === 0) return;
    this.#unsorted.delete(block);
    this.#blocks.splice(at, 1);
    this.#bounds.splice(at, 1);
  }

  /** The first rows after a place. `isWithin`: true up to some row of this order, and false from there. */
  page(after: DuePlace, isWithin: (row: Row) => boolean, limit: number): Row[] {
    const found: Row[] = [];
    for (const rows of this.#after(after, isWithin)) {
      found.push(...rows.slice(0, limit - found.length));
      if (found.length >= limit) break;
    }
    return found;
  }

  /** How many rows `page` would find. */
  count(after: DuePlace, isWithin: (row: Row) => boolean): number {
    let count = 0;
    for (const rows of this.#after(after, isWithin)) count += rows.length;
    return count;
  }

  /** Block by block: few rows are compared. */
  *#after([time, id]: DuePlace, isWithin: (row: Row) => boolean): Generator<readonly Row[]> {
    const isBefore = (row: Row): boolean => {
      const own = this.#timeOf(row);
      return own < time || (own === time && row.id <= id);
    };
    const first = this.#blockOf(time, id);
    for (let at = first; at < this.#blocks.length; at++) {
      const block = this.#sorted(at);
      const from = at === first ? upTo(block, isBefore) : 0;
      const last = block.at(-1);
      const isWhole = last === undefined || isWithin(last);
      yield block.slice(from, isWhole ? undefined : Math.max(from, upTo(block, isWithin)));
      if (!isWhole) return;
    }
  }

  #compare(one: Row, other: Row): number {
    return this.#timeOf(one) - this.#timeOf(other) || (one.id < other.id ? -1 : 1);
  }

  /** The last block whose bound is not after a place. */
  #blockOf(time: number, id: string): number {
    let low = 1;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const bound = this.#bounds[middle] as DuePlace;
      if (bound[0] < time || (bound[0] === time && bound[1] <= id)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #sorted(at: number): Row[] {
    const block = this.#blocks[at] as Row[];
    if (!this.#unsorted.delete(block)) return block;
    return block.sort((one, other) => this.#compare(one, other));
  }
}

/** How many of the first rows these are: true up to some row, and false from there. */
function upTo(rows: readonly Row[], isBefore: (row: Row) => boolean): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(rows[middle] as Row)) low = middle + 1;
    else high = middle;
  }
  return low;
}
