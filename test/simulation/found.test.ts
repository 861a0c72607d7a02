/** What seeds found once: faults of earlier builds, and what the checker must not take for a fault. */
import { expect, test } from 'vitest';
import { run } from './run.ts';
import { ACTIONS, type Scenario } from './scenario.ts';
import { play } from './stage.ts';

test.each([
  ['a call that was stored just before its session left hung', 71],
  ['a copy was kept that had been claimed for an id that was not announced yet', 226],
  ['the same, of a session that was ended in that time', 1_469],
])('%s (stalls, %i)', async (_what, seed) => {
  expect((await run(seed, { kind: 'stalls' })).violations).toEqual([]);
});

test('a GET that arrived late, and whose client had left, kept the messages of a later GET from its client', async () => {
  expect((await run(14_259)).violations).toEqual([]);
});

test('a relayed call was refused by a drained owner that could not list the others, though its sender serves', async () => {
  expect((await run(209_549)).violations).toEqual([]);
});

test('a copy that had left removed the marker of a stored call that it handed back, so it ran twice', async () => {
  expect((await run(211_646)).violations).toEqual([]);
});

test('a call that was stored as its session left was run from the log, and from its own POST (one process)', async () => {
  expect((await run(709_822)).violations).toEqual([]);
});

/** Owners crash before the heads of their answers are out, and the store loses records. */
const vanishing = (scenario: Scenario): Scenario => ({
  ...scenario,
  slots: 3,
  thinkMs: [0, 30],
  concurrency: 12,
  activeMs: 3_000,
  actions: { ...ACTIONS, effect: 30, count: 20, delete: 0 },
  faults: { ...scenario.faults, mail: [2, 40] },
  weather: { ...scenario.weather, crash: 1.5, loss: 0, vanish: 3 },
});

test.each([13, 43, 59])(
  'a relayed call that ran, and whose record the store lost, got a 404 that did not say so (crashes, %i)',
  async (seed) => {
    expect((await run(seed, { kind: 'crashes', change: vanishing })).violations).toEqual([]);
  },
);

test('a deleted session does not serve when an instance that does not know of its end drains and answers its ping', () =>
  play({ slots: 2 }, async (stage) => {
    const client = await stage.client(0, { version: '2025-06-18' });
    // The instance in slot 1 remembers the owner, so it reads no record.
    await client.call('count', { slot: 1 });
    client.via.push(0);
    await client.delete();
    const relaying = stage.instance(1);
    stage.world.intercept = (from, _to, message) => (from === relaying.process ? 'lost' : message);
    client.via.push(1);
    const probing = client.probe();
    await stage.sleep(100);
    await stage.world.retire(relaying, 100);
    await probing;
  }));
