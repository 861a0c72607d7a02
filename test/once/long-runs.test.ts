/** `once()`: runs that take longer than `keepMs`, and keys that are used again while an earlier run has not ended. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { storeAway } from '../../src/errors.ts';
import { nothingDone, once } from '../../src/once/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveMember } from '../kit/fleet.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { passing as passingOn } from '../kit/moving-time.ts';
import { userHeader } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

const KEEP_MS = 20_000;
const STEP_MS = 100;
const USER = { headers: { 'x-user': 'ada' } };

interface Run {
  readonly signal: AbortSignal;
  answer(text: string): void;
  undo(): void;
}

/** Two instances on one store, and a clock that the test moves. */
async function open(waitMs = 10_000) {
  const time = createFakeTime();
  const runs: Run[] = [];
  const calls: AbortSignal[] = [];
  const inner = memory();
  const member = (store: ReturnType<typeof watchedStore>) => {
    const lab = createLab((server) => {
      const pay = once(
        (_order: { id: string }, ctx: { mcpReq: { signal: AbortSignal } }) =>
          new Promise<ReturnType<typeof said>>((resolve, reject) => {
            const undo = (): void => reject(nothingDone(new Error('too early')));
            runs.push({ signal: ctx.mcpReq.signal, answer: (text) => resolve(said(text)), undo });
          }),
        { key: ({ id }, { mcpReq }) => (calls.push(mcpReq.signal), id), keepMs: KEEP_MS },
      );
      server.registerTool('pay', { inputSchema: z.object({ id: z.string(), cents: z.number() }) }, pay);
    });
    const options = { store, timeProvider: time, waitMs };
    return serveMember(options, { face: 'node', auth: userHeader }, lab);
  };
  const store = watchedStore({ inner, durable: true, inProcess: false });
  const [first, second] = [await member(store), await member(watchedStore({ inner, durable: true, inProcess: false }))];
  const ran = (n: number): Promise<Run> => until(() => runs[n] as Run, { what: `run ${n}` });
  const passing = <T>(work: Promise<T>): Promise<T> => passingOn(time, work, STEP_MS);
  return { store, time, runs, calls, ran, passing, here: first.client(USER), there: second.client(USER) };
}

const pay = async (client: RawClient, cents = 1) =>
  (await callModern(client, 'tools/call', { name: 'pay', arguments: { id: 'o-1', cents } })).message;

test('keepMs is renewed while the handler runs, and counts from its end', async () => {
  const { time, runs, ran, passing, here, there } = await open();
  const call = pay(here);
  const run = await ran(0);
  await time.advance(10 * KEEP_MS);
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
  await time.advance(KEEP_MS + 1_000);
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
  const [ends, taken] = [gate(), () => store.calls.filter(({ call }) => call === 'once.end').length];
  store.before['once.end'] = ends.hook;
  store.before['once.create'] = () => {
    throw storeAway('it is a test');
  };
  expect((await passing(pay(here))).error).toMatchObject({ data: { reason: 'store_away' } });
  delete store.before['once.create'];
  const call = pay(here);
  const run = await ran(0);
  expect(taken()).toBe(1);
  ends.open();
  await time.advance(0);
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
  const waiting = postModern(there, 'tools/call', { name: 'pay', arguments: { id: 'o-1', cents: 1 } });
  // Its looks are a second apart by now.
  await time.advance(10_000);
  (await waiting).abort();
  await until(() => calls[1]?.aborted, { what: 'the cancel of the second call' });
  run.undo();
  expect(textOf(await first)).toBe('too early');
  const second = passing(pay(there, 2));
  (await ran(1)).answer('other');
  expect(textOf(await second)).toBe('other');
  expect(runs.length).toBe(2);
});
