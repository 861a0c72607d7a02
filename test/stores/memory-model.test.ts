import { expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { compareWithModel, type ModelRunOptions } from '../store-contract/model/compare.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { randomOperations } from '../store-contract/model/random-operations.ts';

function memoryStores(): Pick<ModelRunOptions, 'connect' | 'time' | 'pass'> {
  const fake = createFakeTime();
  // The memory store does nothing in the background, so moving the clock needs no turn of the event loop.
  let moved = 0;
  const time = { ...fake, now: (): number => fake.now() + moved, monotonic: (): number => fake.monotonic() + moved };
  const store = memory();
  return { connect: () => store, time, pass: async (ms) => void (moved += ms) };
}

test('random operations have the same answers as a plain model', async () => {
  await compareWithModel({ ...memoryStores(), runs: 1_500 });
}, 120_000);

test('random operations on records that are not listed have the same answers as a plain model', async () => {
  await compareWithModel({ ...memoryStores(), runs: 500, listed: false });
}, 120_000);

test('random operations without a clock have the same answers as a plain model', async () => {
  const { connect, pass } = memoryStores();
  await compareWithModel({ connect, pass, runs: 300 });
}, 120_000);

test('the random operations reach every outcome', () => {
  const seen = new Map<string, number>();
  for (let seed = 0; seed < 200; seed++) {
    for (const { op } of randomOperations(seed, true)) seen.set(op, (seen.get(op) ?? 0) + 1);
    for (const { op } of randomOperations(seed, false)) expect(op).not.toBe('pass');
  }
  expect(Math.min(...seen.values())).toBeGreaterThan(50);
  expect(seen.size).toBe(17);
});
