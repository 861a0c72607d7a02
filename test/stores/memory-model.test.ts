import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime, createStoreKit } from '../../src/testing/index.ts';
import { PlainStore } from './plain-store.ts';
import { applyAll, operations, RETENTION, TOMBSTONE_MS } from './random-operations.ts';

test('random operations have the same answers as a plain model', async () => {
  await fc.assert(
    fc.asyncProperty(operations, async (all) => {
      const time = createFakeTime();
      // The memory store does nothing in the background, so moving the clock needs no turn of the event loop.
      let moved = 0;
      const now = (): number => time.now() + moved;
      const store = memory();
      const clock = { ...time, now };
      const kit = createStoreKit({ connect: () => store, time: clock, pass: async (ms) => void (moved += ms) });
      const view = await kit.open({ retention: RETENTION, tombstoneMs: TOMBSTONE_MS });
      const model = new PlainStore({ now, tombstoneMs: TOMBSTONE_MS, retention: RETENTION });
      try {
        await applyAll({ store: view, model, now, pass: kit.pass }, all);
      } finally {
        await kit.close();
      }
    }),
    { numRuns: 1_500 },
  );
});

test('the random operations reach every outcome', async () => {
  const seen = new Map<string, number>();
  for (const all of fc.sample(operations, { seed: 1, numRuns: 200 })) {
    for (const { op } of all) seen.set(op, (seen.get(op) ?? 0) + 1);
  }
  expect(Math.min(...seen.values())).toBeGreaterThan(50);
  expect(seen.size).toBe(15);
});
