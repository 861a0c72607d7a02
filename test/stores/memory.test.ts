import { describe, expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { compareWithModel } from '../store-contract/model/compare.ts';
import { randomOperations } from '../store-contract/model/random-operations.ts';
import { storeContract } from '../store-contract/store-contract.ts';
import { isMatrix } from '../kit/matrix.ts';
import { casesFor, contractTests, idsBut } from './contract.ts';
import { modelTests, movedTime } from './model-runs.ts';
import { settableClock } from './settable-clock.ts';

/** Leases of one process do not expire. Its clock is monotonic, so no date sets it back. */
const applies = casesFor('moved-clock');

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
      'lease/read-or-renew',
      'lease/stored-death',
      'forget/all',
    ]);
  });

  test('and every case has its own id', () => {
    expect(new Set(storeContract.map(({ id }) => id)).size).toBe(storeContract.length);
  });
});

describe('the memory store', () => {
  const connect = () => {
    const store = memory();
    return { ...movedTime(), connect: () => store };
  };
  modelTests(isMatrix ? 1_500 : 300, connect);

  test('answers as a plain model without a clock', async () => {
    const { time: _, ...stores } = connect();
    await compareWithModel({ ...stores, runs: 200 });
  }, 120_000);

  test('is asked for every operation', () => {
    const seen = new Map<string, number>();
    for (let seed = 0; seed < 200; seed++) {
      for (const { op } of randomOperations(seed, true)) seen.set(op, (seen.get(op) ?? 0) + 1);
      for (const { op } of randomOperations(seed, false)) expect(op).not.toBe('pass');
    }
    expect(Math.min(...seen.values())).toBeGreaterThan(50);
    expect(seen.size).toBe(17);
  });
});
