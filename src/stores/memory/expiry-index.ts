/**
 * Finds expired records without a walk over all of them. Each record is in a slot of its expiry time, and `due` looks
 * at slots whose time has come. `put` and `take` are O(1).
 */
import type { HeldRecord } from './held-record.ts';

/** Two hours are 1,800 slots. A wider slot would make a sweep look at more records that are not due yet. */
const SLOT_MS = 4_000;

export class ExpiryIndex {
  readonly #slots = new Map<number, HeldRecord[]>();

  /** Call it after `expiresAt` of the record is set. */
  put(held: HeldRecord): void {
    const { expiresAt } = held;
    if (expiresAt === null) return;
    const slot = slotOf(expiresAt);
    const records = this.#slots.get(slot);
    if (records === undefined) {
      held.slotIndex = 0;
      this.#slots.set(slot, [held]);
    } else held.slotIndex = records.push(held) - 1;
  }

  /**
   * Call it before `expiresAt` of a record in the index changes. The last record of the slot moves into the free
   * index.
   */
  take(held: HeldRecord): void {
    const { expiresAt } = held;
    if (expiresAt === null) return;
    const slot = slotOf(expiresAt);
    const records = this.#slots.get(slot);
    const last = records?.pop();
    if (records !== undefined && last !== undefined && last !== held) {
      records[held.slotIndex] = last;
      last.slotIndex = held.slotIndex;
    }
    if (records?.length === 0) this.#slots.delete(slot);
  }

  /** Every expired record. */
  *due(now: number): Generator<HeldRecord> {
    const current = slotOf(now);
    for (const [slot, records] of this.#slots) {
      if (slot > current) continue;
      for (const held of records) {
        if (held.expired(now)) yield held;
      }
    }
  }
}

const slotOf = (at: number): number => Math.floor(at / SLOT_MS);
