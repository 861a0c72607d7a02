/**
 * Finds records that expired or are due without a walk over all of them. Each record is in a slot of the earlier of the
 * two times, and `due` looks at slots whose time has come. `put` and `take` are O(1).
 */
import type { HeldRecord } from './held-record.ts';

/** Two hours are 1,800 slots. A wider slot would make a sweep look at more records that are not due yet. */
const SLOT_MS = 4_000;

/** The place of a record in the order of `due`. */
export type DuePlace = readonly [slot: number, index: number];

export class DueIndex {
  readonly #slots = new Map<number, HeldRecord[]>();

  /** Call it after the times of the record are set. */
  put(held: HeldRecord): void {
    const { wakesAt } = held;
    if (wakesAt === null) return;
    const slot = slotOf(wakesAt);
    const records = this.#slots.get(slot);
    if (records === undefined) {
      held.slotIndex = 0;
      this.#slots.set(slot, [held]);
    } else held.slotIndex = records.push(held) - 1;
  }

  /**
   * Call it before the times of a record in the index change. The last record of the slot moves into the free index.
   */
  take(held: HeldRecord): void {
    const { wakesAt } = held;
    if (wakesAt === null) return;
    const slot = slotOf(wakesAt);
    const records = this.#slots.get(slot);
    const last = records?.pop();
    if (records !== undefined && last !== undefined && last !== held) {
      records[held.slotIndex] = last;
      last.slotIndex = held.slotIndex;
    }
    if (records?.length === 0) this.#slots.delete(slot);
  }

  /**
   * Every record that has expired or is due, after a place. Each slot is walked from its end: a record that
   * moves into the index of an ended record was passed before.
   */
  *due(now: number, [first, below]: DuePlace = [-Infinity, Infinity]): Generator<readonly [HeldRecord, DuePlace]> {
    const current = slotOf(now);
    const slots = [...this.#slots.keys()].filter((slot) => slot >= first && slot <= current).sort((a, b) => a - b);
    for (const slot of slots) {
      const records = this.#slots.get(slot) ?? [];
      for (let i = Math.min(records.length, slot === first ? below : Infinity) - 1; i >= 0; i--) {
        const held = records[i];
        if (held !== undefined && held.wakes(now)) yield [held, [slot, i]];
      }
    }
  }
}

const slotOf = (at: number): number => Math.floor(at / SLOT_MS);
