/** A memory store whose parts a test has at hand. It answers for one record at once, and the test moves its clock. */
import { KernelRecords } from '../../src/stores/kernel/records.ts';
import { EventBudget } from '../../src/stores/memory/event-budget.ts';
import { MemoryBackend } from '../../src/stores/memory/memory-backend.ts';
import type { Kind } from '../../src/stores/store.ts';
import { createLog } from '../kit/log.ts';

type Answer<R> = [R] extends [Promise<unknown>] ? R : Awaited<R>;
type AtOnce<T> = T extends (...args: infer A) => infer R ? (...args: A) => Answer<R> : T;
type RecordsAtOnce = { readonly [Name in keyof KernelRecords]: AtOnce<KernelRecords[Name]> };

/** `logBytes`: what the logs of all deployments may take together. */
export function memoryRooms(
  kind: Kind,
  { logBytes = Infinity, tombstones = 1_000, eventLogBytes = 1_000_000 } = {},
) {
  let now = 1_000_000;
  const time = { now: () => now, setTimeout: () => 0, clearTimeout: () => undefined };
  const budget = new EventBudget(logBytes);
  const deployment = () => {
    const backend = new MemoryBackend({ time, budget, tombstones, eventLogBytes });
    const records = new KernelRecords({
      kind,
      backend,
      writes: backend.atOnce,
      isAlone: true,
      logger: createLog(),
    }) as unknown as RecordsAtOnce;
    return { backend, records, entries: (id: string) => backend.log(kind, id) };
  };
  return { budget, deployment, now: () => now, pass: (ms: number) => void (now += ms) };
}
