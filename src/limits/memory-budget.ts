/**
 * The bytes that clients make one endpoint hold: bodies while their requests run, answers that clients do not read,
 * handshakes, subscriptions and state of live sessions. The budget refuses new bytes before the heap is full.
 *
 *     0 ─────────────────────── `limits.memoryBytes` ─────── + a quarter
 *       everything is accepted        small requests only          nothing
 *
 * The last quarter keeps ordinary calls going while one client's large bodies or unread answers fill the budget.
 */

import type { MemoryUse } from '../http/slow-readers.ts';

/** A request up to this size may use the reserve. */
const SMALL_BYTES = 32 * 1024;
const RESERVE = 0.25;

export class MemoryBudget implements MemoryUse {
  /** `limits.memoryBytes`. */
  readonly bytes: number;
  readonly #most: number;
  #used = 0;

  constructor(bytes: number) {
    this.bytes = bytes;
    this.#most = bytes * (1 + RESERVE);
  }

  get used(): number {
    return this.#used;
  }

  /** Whether only small requests are accepted now. */
  get full(): boolean {
    return this.#used > this.bytes;
  }

  /** Charges `bytes` to a request that holds `held` already. `false`: there is no room, and nothing was charged. */
  take(bytes: number, held = 0): boolean {
    const used = this.#used + bytes;
    if (used > (held + bytes <= SMALL_BYTES ? this.#most : this.bytes)) return false;
    this.#used = used;
    return true;
  }

  /** Charges bytes that are held already, so that they cannot be refused. */
  charge(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
