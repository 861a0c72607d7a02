import { describe, expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { storeContract } from '../store-contract/store-contract.ts';
import { casesFor, contractTests, idsBut } from './contract.ts';
import { settableClock } from './settable-clock.ts';

/** Leases of one process do not expire. Its clock is monotonic, so no date sets it back. */
const applies = casesFor('process-limits');

describe('the memory store keeps the contract', () => {
  contractTests(applies, () => {
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    const store = memory();
    return { connect: () => store, time, pass };
  });

  test('except for leases that expire, and what only a server has', () => {
    expect(idsBut(...applies)).toEqual([
      'expiry/stored',
      'lease/expiry',
      'lease/renewals',
      'clock/process',
      'lease/read-or-renew',
      'lease/stored-death',
      'forget/all',
      'outage/bounded',
      'outage/order',
    ]);
  });

  test('and every case has its own id', () => {
    expect(new Set(storeContract.map(({ id }) => id)).size).toBe(storeContract.length);
  });
});
