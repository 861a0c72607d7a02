import { expect, test } from 'vitest';
import { SHORT_MS, inTime } from '../store-contract/contract/store-case.ts';
import { createStoreKit, recordOf, type StoreKit } from '../store-contract/contract/store-kit.ts';
import { memory } from '../../src/stores/memory/index.ts';

/** The clock of the machine: `pass` moves it, and so does a machine that stalls. */
let now = 0;
const clock = (): number => now;
const stall = (ms: number): void => void (now += ms);

function kitOver(): StoreKit {
  const store = memory();
  return createStoreKit({ connect: () => store, pass: async (ms) => stall(ms) });
}

test('a case that fails in time has failed', async () => {
  let runs = 0;
  const run = inTime(async (kit) => {
    runs += 1;
    await kit.pass(SHORT_MS);
    throw new Error('wrong');
  }, clock);
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
    stall(SHORT_MS);
    throw new Error('late');
  }, clock);
  await run(kitOver());
  expect(runs).toBe(3);
});

test('before a case runs again, its views are closed', async () => {
  const closed: number[] = [];
  const run = inTime(async (kit) => {
    const n = closed.push(0) - 1;
    const view = await kit.open();
    const { close } = view;
    Object.assign(view, { close: () => ((closed[n] = 1), close()) });
    if (n === 2) return;
    expect(closed).toEqual([1, 1, 0].slice(2 - n));
    stall(SHORT_MS);
    throw new Error('late');
  }, clock);
  await run(kitOver());
  expect(closed).toEqual([1, 1, 0]);
});

test('a case that is late in each run for a minute fails in the end', async () => {
  let runs = 0;
  const run = inTime(async () => {
    runs += 1;
    stall(SHORT_MS / 2);
    throw new Error(`late ${runs}`);
  }, clock);
  await expect(run(kitOver())).rejects.toThrow('late 200');
});

test('a case that becomes late after a minute fails with what it found in time', async () => {
  let runs = 0;
  const run = inTime(async () => {
    runs += 1;
    if (runs < 40) stall(SHORT_MS);
    throw new Error(runs < 40 ? 'late' : 'wrong');
  }, clock);
  await expect(run(kitOver())).rejects.toThrow('wrong');
  expect(runs).toBe(40);
});
