/**
 * What clients can make one endpoint keep in memory, in three rows. Each charges its bytes to the budget of
 * `limits.memoryBytes` when a client makes them, and gives them back. Nothing else can charge that budget.
 *
 * `scripts/pages.mjs` writes this table into `docs/internals/memory.md`. `test/limits/rows.test.ts` measures what is
 * counted in the heap.
 */
import { Budget, type MemoryUse } from '../base/budget.ts';

export const HELD = {
  requests: {
    what:
      'a request, its values and its handlers; a 2026-07-28 call or a task without a connected client, and what it ' +
      'reads and keeps; a result that is not stored yet',
    most: '`bodyBytes` and `bodyKeys` each; calls without a client an eighth of `memoryBytes`; `tasks.limits`',
    until: 'its answer is complete, its handlers have settled, and the store has its result',
  },
  answers: {
    what: 'an answer or a stream that its client does not read; a question without a stream; an event that the store has not taken yet',
    most: '`streamBufferBytes` and one message each; 16 questions for each session',
    until: 'the client has read it, or its connection is cut; the question is sent or refused; the store has it',
  },
  sessions: {
    what: 'the handshake, `session.state` and subscriptions of a live session; on the memory store of a hibernated one too',
    most: '16 KiB, `stateBytes` and 64 KiB for each session; `maxIdleSessionCount` of those that hibernate',
    until: 'the session ends, or hibernates on another store',
  },
} as const;

export type HeldName = keyof typeof HELD;

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
  const rows = Object.keys(HELD).map((name) => [name, new MemoryRow(budget)] as const);
  return Object.fromEntries(rows) as MemoryRows;
}
