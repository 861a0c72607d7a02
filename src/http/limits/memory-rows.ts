/**
 * What clients can make one endpoint keep in memory, in three rows. Each charges its bytes to the budget of
 * `limits.memoryBytes` when a client makes them, and gives them back. Nothing else can charge that budget.
 *
 * `docs/internals/memory.md` says what each keeps, at most how much, and until when. `rows.test.ts` of this
 * folder measures what is counted in the heap.
 */
import { Budget, MemoryUse } from '../../base/budget.ts';

export type MemoryRows = Readonly<ReturnType<typeof memoryRows>>;

export type HeldName = keyof MemoryRows;

/** The rows of one endpoint. `bytes`: `limits.memoryBytes`. */
export function memoryRows(bytes: number, userShare = 1) {
  const budget = new Budget(bytes, userShare);
  return {
    requests: new MemoryUse(budget),
    answers: new MemoryUse(budget),
    sessions: new MemoryUse(budget),
  };
}
