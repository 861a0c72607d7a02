/** `once()`: runs that take longer than `keepMs`, and keys that are used again while an earlier run has not ended. */
import { expect, test } from 'vitest';
import { nothingDone } from '../../../src/durable/once/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { textOf } from '../../kit/lab.ts';
import { passing as passingOn } from '../../kit/moving-time.ts';
import { until } from '../../kit/until.ts';
import { cut, mend } from '../../kit/watched-store.ts';
import { eras, openPay, USER } from './pay.ts';

const KEEP_MS = 20_000;
/** An entry whose run is not renewed. */
const RUN_MS = 60_000;
const STEP_MS = 100;
const era = eras['2026-07-28'];

/** `calls`: their signals. The test moves the clock. */
async function open(maxWaitMs = 10_000) {
  const time = createFakeTime();
  const calls: AbortSignal[] = [];
  const key = ({ id }: { id: string }, { mcpReq }: { mcpReq: { signal: AbortSignal } }) => (
    calls.push(mcpReq.signal),
    id
  );
  const fleet = await openPay(
    { key, keepMs: KEEP_MS },
    { timeProvider: time, maxWaitMs, keepAliveMs: 5_000 },
  );
  const passing = <T>(work: Promise<T>): Promise<T> => passingOn(time, work, STEP_MS);
  const [here, there] = [fleet.first.client(USER), fleet.second.client(USER)];
  return { ...fleet, time, calls, passing, here, there };
}

const pay = (client: RawClient, cents = 1) => era.call(client, { id: 'o-1', cents });

test('keepMs is renewed while the handler runs, also after an outage, and counts from its end', async () => {
  const { store, time, runs, ran, passing, here, there } = await open();
  const call = pay(here);
  const run = await ran(0);
  for (let outages = 0; outages < 20; outages++) {
    cut(store, 'once.save');
    await time.advance(KEEP_MS / 2 + 1_000);
    mend(store, 'once.save');
    await time.advance(1_000);
  }
  const waiting = pay(there);
  expect((await passing(pay(there, 2))).error).toMatchObject({ data: { reason: 'once_conflict' } });
  run.answer('paid');
  expect(textOf(await call)).toBe('paid');
  expect(textOf(await passing(waiting))).toBe('paid');
  await time.advance(KEEP_MS - 5_000);
  expect(textOf(await passing(pay(there)))).toBe('paid');
  expect(runs.length).toBe(1);
  await time.advance(5_000);
  const again = pay(there);
  (await ran(1)).answer('again');
  expect(textOf(await again)).toBe('again');
});

test('an earlier run whose entry expired does not end the entry of the run after it', async () => {
  const { store, time, runs, ran, passing, here, there } = await open();
  const first = pay(here);
  const old = await ran(0);
  store.before['once.save'] = () => {
    throw new Error('it is a test');
  };
  await time.advance(RUN_MS + 1_000);
  const second = pay(there, 2);
  const run = await ran(1);
  old.answer('old');
  expect(textOf(await first)).toBe('old');
  await until(() => store.calls.some(({ call }) => call === 'once.end'));
  expect((await passing(pay(here, 1))).error).toMatchObject({ data: { reason: 'once_conflict' } });
  run.answer('new');
  expect(textOf(await second)).toBe('new');
  expect(textOf(await passing(pay(here, 2)))).toBe('new');
  expect(runs.length).toBe(2);
});

test('a creation that is taken back late does not end the entry that its instance made after it', async () => {
  const { store, time, runs, ran, passing, here, there } = await open(1_000);
  const taken = (): boolean => store.calls.some(({ call }) => call === 'once.end');
  cut(store, 'once.create');
  expect((await passing(pay(here))).error).toMatchObject({ data: { reason: 'store_unavailable' } });
  mend(store, 'once.create');
  const call = pay(here);
  const run = await ran(0);
  expect(taken()).toBe(false);
  await time.advance(1_000);
  await until(taken, { what: 'the end of the first creation' });
  const other = pay(there);
  expect((await passing(pay(there, 2))).error).toMatchObject({ data: { reason: 'once_conflict' } });
  run.answer('paid');
  expect(textOf(await call)).toBe('paid');
  expect(textOf(await passing(other))).toBe('paid');
  expect(runs.length).toBe(1);
});

test('a call that was cancelled while it waited for another instance leaves its key to other arguments', async () => {
  const { time, runs, calls, ran, passing, here, there } = await open();
  const first = pay(here);
  const run = await ran(0);
  const waiting = era.post(there, { id: 'o-1', cents: 1 });
  // Its looks are a second apart by now.
  await time.advance(10_000);
  (await waiting).abort();
  await until(() => calls[1]?.aborted, { what: 'the cancel of the second call' });
  run.fail(nothingDone(new Error('too early')));
  expect(textOf(await first)).toBe('too early');
  const second = passing(pay(there, 2));
  (await ran(1)).answer('other');
  expect(textOf(await second)).toBe('other');
  expect(runs.length).toBe(2);
});
