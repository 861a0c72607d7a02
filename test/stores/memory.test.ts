import { describe, expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime, createStoreKit, storeContract, type StoreNeed } from '../../src/testing/index.ts';

/** Instances of one process live and die with it: a lease has no clock there. */
const NOT_HERE: readonly StoreNeed[] = ['lease-expiry'];

describe('the memory store keeps the contract', () => {
  for (const { id, title, needs, run } of storeContract) {
    test.skipIf(needs !== undefined && NOT_HERE.includes(needs))(`${id}: ${title}`, async () => {
      const time = createFakeTime(Date.UTC(2026, 10, 1));
      const store = memory();
      const kit = createStoreKit({ connect: () => store, time, pass: (ms) => time.advance(ms) });
      try {
        await run(kit);
      } finally {
        await kit.close();
      }
    });
  }

  test('the contract names every case once', () => {
    const ids = storeContract.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
