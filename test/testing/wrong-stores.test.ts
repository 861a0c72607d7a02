/** The store contract refuses stores that are wrong in one way. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { systemTime } from '../../src/options/system.ts';
import { createStoreKit, storeContract } from '../../src/testing/index.ts';
import { settableClock } from '../stores/settable-clock.ts';
import { imitatedStore, type Fault } from './wrong-stores.ts';

/** The case that finds each fault, and how it fails. */
const FOUND: Readonly<Record<Fault, readonly [id: string, failure: RegExp]>> = {
  'no-time-bound': ['outage/bounded', /'not in time'/],
  'late-writes': ['outage/order', /early/],
  'never-forgets': ['forget/all', /entries more than before/],
  'process-clock': ['clock/process', /s-10800000 lives/],
  'death-not-stored': ['lease/read-or-renew', /found expired, and then/],
  'death-forgotten-with-the-clock': ['lease/stored-death', /undefined/],
  'expiry-not-stored': ['expiry/stored', /has not ended/],
  deadlock: ['append/sixteen-sessions', /not within/],
  'large-messages-lost': ['mailbox/large', /not within/],
  'large-messages-overtaken': ['mailbox/large', /large/],
  'large-events-cut': ['append/large', /strictly deep-equal/],
};

const TIMEOUT_MS = 120_000;
const caseOf = (id: string) => storeContract.find((one) => one.id === id);

async function run(id: string, fault: Fault | undefined): Promise<void> {
  const one = caseOf(id);
  if (one === undefined) throw new Error(`no case ${id}`);
  const isMoved = one.needs === 'clock-set-back' || one.needs === 'entries';
  const clock = isMoved ? settableClock(Date.UTC(2026, 10, 1)) : { time: systemTime, pass: (ms: number) => sleep(ms) };
  const kit = createStoreKit(imitatedStore(fault, clock));
  try {
    await one.run(kit);
  } finally {
    await kit.close();
  }
}

describe('the contract refuses a store', () => {
  test.each(Object.entries(FOUND) as Array<[Fault, readonly [string, RegExp]]>)(
    'with the fault %s',
    async (fault, [id, failure]) => {
      await expect(run(id, fault)).rejects.toThrow(failure);
    },
    TIMEOUT_MS,
  );

  test.each([...new Set(Object.values(FOUND).map(([id]) => id))])(
    'for its fault: without it, %s passes',
    (id) => run(id, undefined),
    TIMEOUT_MS,
  );
});
