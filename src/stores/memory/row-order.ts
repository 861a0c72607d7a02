/**
 * The rows of a kind in the order of their ids, or of their wake times and then their ids. They are in sorted blocks,
 * so a row is found, added and removed in some twenty comparisons, and the block that moves is short.
 *
 * Each block has the keys of its rows beside them, as numbers: the wake time, or the first letters of the id. A search
 * reads a row of another place in the heap only where two keys are equal.
 */
import type { HeldRow } from './held-row.ts';

/** Rows of one block. */
const MOST = 128;

/** Letters of an id in its key. With 16 bits each they are an integer that a number keeps. */
const LETTERS = 3;

interface Block {
  readonly keys: number[];
  readonly rows: HeldRow[];
}

export class RowOrder {
  readonly #byWake: boolean;
  readonly #blocks: Block[] = [];

  constructor(by: 'id' | 'wake') {
    this.#byWake = by === 'wake';
  }

  add(row: HeldRow): void {
    const key = this.#keyOf(row);
    const at = this.#blockOf(key, row.id);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push({ keys: [key], rows: [row] });
      return;
    }
    const { keys, rows } = block;
    const index = indexIn(block, key, row.id);
    keys.splice(index, 0, key);
    rows.splice(index, 0, row);
    if (rows.length > MOST)
      this.#blocks.splice(at + 1, 0, { keys: keys.splice(MOST / 2), rows: rows.splice(MOST / 2) });
  }

  /** Call it before the time of the row changes. */
  delete(row: HeldRow): void {
    const key = this.#keyOf(row);
    const at = this.#blockOf(key, row.id);
    const block = this.#blocks[at];
    if (block === undefined) return;
    const index = indexIn(block, key, row.id);
    if (block.rows[index] !== row) return;
    block.keys.splice(index, 1);
    block.rows.splice(index, 1);
    if (block.rows.length === 0) this.#blocks.splice(at, 1);
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
      const block = this.#blocks[at] as Block;
      for (let i = at === first ? indexIn(block, key, id) : 0; i < block.rows.length; i++) {
        const row = block.rows[i] as HeldRow;
        if (found.length >= limit || !isWithin(row)) return found;
        if (row.id !== id || block.keys[i] !== key) found.push(row);
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
    const key = firstLetters(id);
    const last = this.#blockOf(key, id);
    let count = 0;
    for (let at = 0; at < last; at++) count += this.#blocks[at]?.rows.length ?? 0;
    const block = this.#blocks[last];
    return block === undefined ? count : count + indexIn(block, key, id);
  }

  #keyOf({ id, wakeAt }: HeldRow): number {
    return this.#byWake ? (wakeAt ?? Infinity) : firstLetters(id);
  }

  /** The last block whose first row is not after a place. */
  #blockOf(key: number, id: string): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { keys, rows } = this.#blocks[middle] as Block;
      const first = keys[0] as number;
      if (first < key || (first === key && (rows[0] as HeldRow).id <= id)) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }
}

/** The index of the first row that is not before a place. */
function indexIn({ keys, rows }: Block, key: number, id: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const its = keys[middle] as number;
    if (its < key || (its === key && (rows[middle] as HeldRow).id < id)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ids in their order have keys in this order. */
function firstLetters(id: string): number {
  let key = 0;
  for (let i = 0; i < LETTERS; i++) key = key * 0x1_00_00 + (i < id.length ? id.charCodeAt(i) : 0);
  return key;
}
