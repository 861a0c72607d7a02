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

  test('except for leases that run out: instances of one process live as long as the process', () => {
    const left = storeContract.filter((one) => !applies.includes(one)).map(({ id }) => id);
    expect(left).toEqual(['lease/expiry', 'lease/renewals']);
  });

  test('and every case has its own id', () => {
    expect(new Set(storeContract.map(({ id }) => id)).size).toBe(storeContract.length);
  });
});
