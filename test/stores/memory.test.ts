import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventBudget } from '../../src/stores/memory/event-budget.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { MemoryBackend } from '../../src/stores/memory/memory-backend.ts';
import { randomOperations } from './contract/model/random-operations.ts';
import { isMatrix } from '../kit/matrix.ts';
import { backendTests, contractTests, kernelContract, storeContract } from './contract.ts';
import { modelTests, movedTime } from './model-runs.ts';

describe('a backend in memory', () => {
  backendTests(() => {
    const limits = { tombstones: 100_000, eventLogBytes: 100_000_000 };
    const backend = new MemoryBackend({
      ...movedTime(),
      ...limits,
      budget: new EventBudget(Infinity),
    });
    return { connect: () => backend };
  });
});

describe('the memory store keeps the contract', () => {
  contractTests([...kernelContract, ...storeContract], () => {
    const store = memory();
    return { ...movedTime(), connect: () => store };
  });
});

describe('the memory store', () => {
  modelTests(isMatrix ? 1_500 : 100, () => {
    const store = memory();
    return { ...movedTime(), connect: () => store };
  });

  test('is asked for every operation', () => {
    const seen = new Map<string, number>();
    for (const { op } of fc.sample(randomOperations(), 200).flat())
      seen.set(op, (seen.get(op) ?? 0) + 1);
    expect(Math.min(...seen.values())).toBeGreaterThan(50);
    expect(seen.size).toBe(19);
  });
});
