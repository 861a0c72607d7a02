/**
 * The rows of a kind in the order of their ids, or of their wake times and then their ids. They are in sorted blocks,
 * so a row is found, added and removed in some twenty comparisons, and the block that moves is short.
 */
import type { HeldRow } from './held-row.ts';

/** Rows of one block. */
const MOST = 512;

export class RowOrder {
  readonly #byWake: boolean;
  readonly #blocks: HeldRow[][] = [];

  constructor(by: 'id' | 'wake') {
    this.#byWake = by === 'wake';
  }

  add(row: HeldRow): void {
    const time = this.#timeOf(row);
    const at = this.#blockOf(time, row.id);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([row]);
      return;
    }
    block.splice(this.#indexIn(block, time, row.id), 0, row);
    if (block.length > MOST) this.#blocks.splice(at + 1, 0, block.splice(MOST / 2));
  }

  /** Call it before the time of the row changes. */
  delete(row: HeldRow): void {
    const time = this.#timeOf(row);
    const at = this.#blockOf(time, row.id);
    const block = this.#blocks[at];
    if (block === undefined) return;
    const index = this.#indexIn(block, time, row.id);
    if (block[index] !== row) return;
    block.splice(index, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** Rows after a place whose time is at most `until` and whose id is before `before`. */
  page(time: number, id: string, until: number, before: string, limit: number): HeldRow[] {
    const found: HeldRow[] = [];
    const first = this.#blockOf(time, id);
    for (let at = first; at < this.#blocks.length; at++) {
      const block = this.#blocks[at] ?? [];
      for (let i = at === first ? this.#indexIn(block, time, id) : 0; i < block.length; i++) {
        const row = block[i] as HeldRow;
        if (found.length >= limit || !this.#isBefore(row, until, before)) return found;
        if (row.id !== id || this.#timeOf(row) !== time) found.push(row);
      }
    }
    return found;
  }

  /** How many rows `page` would find, by id. */
  count(after: string, before: string): number {
    const isThere = this.#at(after)?.id === after;
    return Math.max(0, this.#rank(before) - this.#rank(after) - (isThere ? 1 : 0));
  }

  /** The first row that is not before an id. */
  #at(id: string): HeldRow | undefined {
    const block = this.#blocks[this.#blockOf(0, id)] ?? [];
    return block[this.#indexIn(block, 0, id)];
  }

  /** How many rows are before an id. */
  #rank(id: string): number {
    const last = this.#blockOf(0, id);
    let count = 0;
    for (let at = 0; at < last; at++) count += this.#blocks[at]?.length ?? 0;
    return count + this.#indexIn(this.#blocks[last] ?? [], 0, id);
  }

  #timeOf({ wakeAt }: HeldRow): number {
    return this.#byWake ? (wakeAt ?? Infinity) : 0;
  }

  #isBefore(row: HeldRow, time: number, id: string): boolean {
    const own = this.#timeOf(row);
    return own < time || (own === time && row.id < id);
  }

  /** The last block whose first row is not after a place. */
  #blockOf(time: number, id: string): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#blocks[middle]?.[0];
      if (first !== undefined && (this.#isBefore(first, time, id) || first.id === id)) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }

  /** The index of the first row that is not before a place. */
  #indexIn(block: readonly HeldRow[], time: number, id: string): number {
    let low = 0;
    let high = block.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = block[middle];
      if (row !== undefined && this.#isBefore(row, time, id)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
