/** The records of a memory store whose parts a test has at hand. They answer at once. */
import { KernelRecords } from '../../src/stores/kernel/records.ts';
import { TurnWrites } from '../../src/stores/kernel/turn-writes.ts';
import type { MemoryBackend } from '../../src/stores/memory/memory-backend.ts';
import type { Kind } from '../../src/stores/store.ts';

type AtOnce<T> = T extends (...args: infer A) => infer R ? (...args: A) => Awaited<R> : T;

export type RecordsAtOnce = { readonly [Name in keyof KernelRecords]: AtOnce<KernelRecords[Name]> };

export function memoryRecords(kind: Kind, backend: MemoryBackend): RecordsAtOnce {
  const writes = new TurnWrites(backend, true);
  return new KernelRecords({ kind, backend, writes, isAlone: true }) as unknown as RecordsAtOnce;
}
