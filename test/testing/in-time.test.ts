import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { SHORT_MS, inTime } from '../../src/testing/contract/store-case.ts';
import { createStoreKit, recordOf, type StoreKit } from '../../src/testing/contract/store-kit.ts';
import { memory } from '../../src/stores/memory/index.ts';

function kitOver(): StoreKit {
  const store = memory();
  return createStoreKit({ connect: () => store, pass: (ms) => sleep(ms) });
}

test('a case that fails in time has failed', async () => {
  let runs = 0;
  const run = inTime(async (kit) => {
    runs += 1;
    await kit.pass(SHORT_MS);
    throw new Error('wrong');
  });
  await expect(run(kitOver())).rejects.toThrow('wrong');
  expect(runs).toBe(1);
});

test('a case that fails on a machine that stood still runs again, in deployments that are empty', async () => {
  let runs = 0;
  const run = inTime(async (kit) => {
    runs += 1;
    const [view, other] = [await kit.open(), await kit.open({ deployment: 'other' })];
    for (const each of [view, other]) expect(await each.records.create(recordOf('s'))).toBe('created');
    if (runs > 2) return;
    await sleep(SHORT_MS);
    throw new Error('late');
  });
  await run(kitOver());
  expect(runs).toBe(3);
});

test('a case that is always late fails in the end', async () => {
  let runs = 0;
  const run = inTime(async () => {
    runs += 1;
    await sleep(SHORT_MS / 2);
    throw new Error(`late ${runs}`);
  });
  await expect(run(kitOver())).rejects.toThrow('late 5');
});
