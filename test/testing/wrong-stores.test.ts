// @module-tag matrix
/** The store contract refuses stores that are wrong in one way. */
import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemTime } from '../../src/base/system.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Records, Store } from '../../src/stores/store.ts';
import { compareWithModel } from '../store-contract/model/compare.ts';
import { createStoreKit } from '../store-contract/contract/store-kit.ts';
import { storeContract } from '../store-contract/store-contract.ts';
import { runStoreCrashes } from '../store-contract/crash/crashes.ts';
import { settableClock } from '../stores/settable-clock.ts';
import { imitatedStore, type Fault } from './wrong-stores.ts';

/** Its clock is moved: at any load, renewals begin on both sides of the end of their lease. */
const RENEWALS = 'lease/read-or-renew';

/** The case that finds each fault, and how it fails. */
const FOUND: Readonly<Record<Fault, readonly [id: string, failure: RegExp]>> = {
  'no-time-bound': ['outage/bounded', /'not in time'/],
  'late-writes': ['outage/order', /early/],
  'never-forgets': ['forget/all', /entries more than before/],
  'process-clock': ['clock/process', /s-10800000 lives/],
  'death-not-stored': [RENEWALS, /found expired, and then/],
  'death-forgotten-with-the-clock': ['lease/stored-death', /undefined/],
  'expiry-not-stored': ['expiry/stored', /has not ended/],
  deadlock: ['append/sixteen-sessions', /not within/],
  'large-messages-lost': ['mailbox/large', /not within/],
  'large-messages-overtaken': ['mailbox/large', /large/],
  'large-events-cut': ['append/large', /strictly deep-equal/],
  // The fields differ in what was written before this change, and in what it removed.
  'fields-overwritten': ['fields/idempotent', /^-\s+'a'/m],
  'deletion-lost': ['fields/idempotent', /^\+\s+'b'/m],
  'groups-by-prefix': ['group/alike', /^\+\s+'a-\.a\.0'/m],
  'living-counted': ['group/expired', /strictly equal/],
  'drops-any-end': ['end/dropped', /'dropped'/],
};

const TIMEOUT_MS = 120_000;
const caseOf = (id: string) => storeContract.find((one) => one.id === id);

async function run(id: string, fault: Fault | undefined): Promise<void> {
  const one = caseOf(id);
  if (one === undefined) throw new Error(`no case ${id}`);
  const isMoved = one.needs === 'clock-set-back' || one.needs === 'entries' || id === RENEWALS;
  const clock = isMoved ? settableClock(Date.UTC(2026, 10, 1)) : { time: systemTime, pass: (ms: number) => sleep(ms) };
  const kit = createStoreKit(imitatedStore(fault, clock));
  try {
    await one.run(kit);
  } finally {
    await kit.close();
  }
}

// One case takes the 30 s after which appends count as deadlocked, so the others run beside it.
describe.concurrent('the contract refuses a store', () => {
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

/** Records with some methods changed. */
const changedRecords = (records: Records, change: (records: Records) => Partial<Records>): Records => {
  const changes = change(records) as Partial<Record<string | symbol, unknown>>;
  return new Proxy(records, {
    get: (_, name) => {
      const method: unknown = changes[name] ?? Reflect.get(records, name);
      return typeof method === 'function' ? (method.bind(records) as unknown) : method;
    },
  });
};

describe('the model run refuses a store', () => {
  /** The memory store with one method changed. */
  const changed = (change: (records: Records) => Partial<Records>) => {
    const inner = memory();
    const store: Store = {
      kind: 'changed',
      durable: true,
      inProcess: true,
      async open(options) {
        const view = await inner.open(options);
        return { ...view, records: (kind) => changedRecords(view.records(kind), change) };
      },
    };
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    return { connect: () => store, time, pass };
  };

  test('that keeps the marker of an answered request, and names the seed and few operations', async () => {
    const run = compareWithModel({
      ...changed((records) => ({
        append: (request) => records.append({ ...request, unmark: { name: 'another', stream: 'p' } }),
      })),
      runs: 300,
    });
    const message = await run.then(
      () => '',
      (error: Error) => error.message,
    );
    expect(message).toMatch(/^seed \d+: the store answers otherwise than the model after\n/);
    expect(message.split('\n').filter((line) => line.startsWith('{"op"')).length).toBeLessThan(8);
    expect(message).toContain('unmark');
  });

  test('that loses the deletion of a field', async () => {
    const run = compareWithModel(
      changed((records) => ({
        save: (id, fence, { fields = {}, ...rest }) =>
          records.save(id, fence, {
            ...rest,
            fields: Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)),
          }),
      })),
    );
    await expect(run).rejects.toThrow(/^seed \d+: the store answers otherwise than the model after\n[^]*":null[,}]/);
  });
});

describe('the crash run refuses a store', () => {
  test('that acknowledges what a kill can take back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-forgetful-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const target = join(folder, 'sessions.db');
    const module = join(import.meta.dirname, 'processes/forgetful-store.mjs');
    const run = runStoreCrashes({
      store: { module, name: 'forgetful', target },
      connect: () => sqlite(target),
      kills: 8,
    });
    await expect(run).rejects.toThrow(/after the acknowledged step|is missing; step/);
  }, 120_000);
});
