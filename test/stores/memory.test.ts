import { describe, expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { createStoreKit, storeContract } from '../../src/testing/index.ts';
import { settableClock } from './settable-clock.ts';

const applies = storeContract.filter(({ needs }) => needs !== 'lease-expiry');

describe('the memory store keeps the contract', () => {
  test.each(applies)('$id: $title', async ({ run }) => {
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    const store = memory();
    const kit = createStoreKit({ connect: () => store, time, pass });
    try {
      await run(kit);
    } finally {
      await kit.close();
    }
  });

  test('but for leases that run out: instances of one process live and die with it', () => {
    const left = storeContract.filter((one) => !applies.includes(one)).map(({ id }) => id);
    expect(left).toEqual(['lease/expiry', 'lease/renewals']);
  });

  test('and every case has an id of its own', () => {
    expect(new Set(storeContract.map(({ id }) => id)).size).toBe(storeContract.length);
  });
});
