/**
 * What clients can make one endpoint keep in memory, in three rows. Each charges its bytes to the budget of
 * `limits.memoryBytes` when a client makes them, and gives them back. Nothing else can charge that budget.
 *
 * `docs/internals/memory.md` says what each keeps, at most how much, and until when. `test/limits/rows.test.ts`
 * measures what is counted in the heap.
 */
import { Budget, type MemoryUse } from '../base/budget.ts';

const HELD = ['requests', 'answers', 'sessions'] as const;

export type HeldName = (typeof HELD)[number];

/** A request up to this size may use the reserve of the budget. */
const SMALL_BYTES = 32 * 1024;

/** What one row holds, as part of the budget. */
export class MemoryRow implements MemoryUse {
  readonly #budget: Budget;
  #used = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Bytes of this row. */
  get used(): number {
    return this.#used;
  }

  /** Whether only small requests are accepted now. */
  get full(): boolean {
    return this.#budget.used > this.#budget.size;
  }

  /** What this user holds of all rows that are shared. */
  heldBy(user: string): number {
    return this.#budget.heldBy(user);
  }

  isOver(user: string, more = 0): boolean {
    return this.#budget.isOver(user, more);
  }

  take(bytes: number, held: number, user: string): boolean {
    if (!this.#budget.take(bytes, user, held + bytes <= SMALL_BYTES)) return false;
    this.#used += bytes;
    return true;
  }

  charge(bytes: number, user: string): void {
    this.#used += bytes;
    this.#budget.charge(bytes, user);
  }

  give(bytes: number, user: string): void {
    this.charge(-bytes, user);
  }
}

export type MemoryRows = { readonly [Name in HeldName]: MemoryRow };

/** The rows of one endpoint. `bytes`: `limits.memoryBytes`. */
export function memoryRows(bytes: number, userShare = 1): MemoryRows {
  const budget = new Budget(bytes, userShare);
  const rows = HELD.map((name) => [name, new MemoryRow(budget)] as const);
  return Object.fromEntries(rows) as MemoryRows;
}
