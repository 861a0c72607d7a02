/** Calls whose owner or relaying instance loses its lease: most of them arrive a second time. */
import { expect, test } from 'vitest';
import { storeAway } from '../../../src/errors.ts';
import type { FakeTime } from '../../../src/testing/index.ts';
import { type FleetOptions, serveFleet, type Member } from '../../kit/fleet.ts';
import { createLab, type Lab, say, textOf, tool } from '../../kit/lab.ts';
import { later, movingTime } from '../../kit/moving-time.ts';
import { sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore, type WatchedStore } from '../../kit/watched-store.ts';

useSharedStores();

const LEASE_MS = 10_000;

interface Sent {
  readonly first?: number;
  readonly ack?: number;
  readonly items?: ReadonlyArray<{ readonly t: string; readonly mayHaveRun?: boolean }>;
}

const sent = (store: WatchedStore): Sent[] =>
  store.calls.filter(({ call }) => call === 'instances.send').map(({ args }) => args[2] as Sent);

/** Whether the owner has taken a call that was marked as a retry. */
function retryArrived(relaying: WatchedStore, owner: WatchedStore): boolean {
  const message = sent(relaying).find(({ items = [] }) =>
    items.some(({ t, mayHaveRun }) => t === 'call' && mayHaveRun === true),
  );
  if (message === undefined) return false;
  const no = (message.first ?? 0) + (message.items ?? []).findIndex(({ t }) => t === 'call');
  return sent(owner).some(({ ack = 0 }) => ack > no);
}

interface Pair {
  readonly a: Member;
  readonly b: Member;
  readonly ofA: WatchedStore;
  readonly ofB: WatchedStore;
  readonly time: FakeTime;
}

/** Two instances on one store, each with its own view of it. */
async function pair(options: FleetOptions = {}, labs: readonly Lab[] = []): Promise<Pair> {
  const connect = sharedStore('sqlite');
  const stores = [0, 1].map(() => watchedStore({ durable: true, inProcess: false, inner: connect() }));
  const [ofA, ofB] = stores as [WatchedStore, WatchedStore];
  let next = 0;
  const store = (): WatchedStore => stores[next++] as WatchedStore;
  const time = movingTime();
  const given = { leaseMs: LEASE_MS, waitMs: 15 * LEASE_MS, timeProvider: time, ...options, store };
  const [a, b] = await serveFleet(2, given, [], labs);
  return { a, b, ofA, ofB, time };
}

const LEASE_CALLS = ['instances.renew', 'instances.announce'] as const;

/** An instance loses its lease: it takes a new id, and cannot know whether the calls run that it relayed. */
async function lapse({ endpoint }: Member, store: WatchedStore, time: FakeTime): Promise<void> {
  for (const call of LEASE_CALLS) {
    store.before[call] = () => {
      throw storeAway('the test says so');
    };
  }
  await later(time, () => endpoint.health().state === 'lapsed');
}

/** The relaying instance has a lease again, and the owner has taken the call that it sends again. */
async function sendAgain({ b, ofA, ofB }: Pair, unheard?: { open(): void }): Promise<void> {
  ofB.calls.length = ofA.calls.length = 0;
  for (const call of LEASE_CALLS) delete ofB.before[call];
  await until(() => b.endpoint.health().state === 'serving');
  delete ofA.before['instances.send'];
  unheard?.open();
  await until(() => retryArrived(ofB, ofA));
}

test('a retry that arrives while the answer of the first attempt is being stored gets that answer', async () => {
  const fleet = await pair();
  const { a, b, ofA, ofB, time } = fleet;
  const onA = await a.openSession();
  const first = gate();
  ofA.before['sessions.append'] = first.hook;
  const called = b.join(onA).call(...tool('hold'));
  await until(() => first.waiting === 1);
  await lapse(b, ofB, time);
  const answer = gate();
  ofA.before['sessions.append'] = answer.hook;
  first.open();
  (await a.lab.held()).answer('once');
  await until(() => answer.waiting === 1);
  await sendAgain(fleet);
  answer.open();
  expect(textOf((await called).message)).toBe('once');
  expect(a.lab.holds).toHaveLength(1);
});

/** A call of a tool with an effect, whose first event is stored while its instance loses the lease. */
async function storedInLapse() {
  const states: string[] = [];
  const members: Member[] = [];
  const lab = createLab((server) => {
    server.registerTool('pay', {}, async () => {
      for (const { endpoint } of members) states.push(endpoint.health().state);
      return { content: [{ type: 'text', text: 'paid' }] };
    });
  });
  const { a, ofA, time } = await pair({}, [lab]);
  members.push(a);
  const onA = await a.openSession();
  const stored = gate();
  ofA.after['sessions.append'] = stored.hook;
  const caller = a.join(onA);
  const called = caller.call(...tool('pay'));
  await until(() => stored.waiting === 1);
  await lapse(a, ofA, time);
  delete ofA.after['sessions.append'];
  stored.open();
  const leaseReturns = (): void => {
    for (const call of LEASE_CALLS) delete ofA.before[call];
  };
  return { a, onA, caller, called, states, leaseReturns };
}

test('a call whose first event is stored while the lease runs out begins when the lease is back', async () => {
  const { called, states, leaseReturns } = await storedInLapse();
  leaseReturns();
  expect(textOf((await called).message)).toBe('paid');
  expect(states).toEqual(['serving']);
});

test('such a call does not run if its client has left by then, because its client cannot resume', async () => {
  const { a, onA, caller, called, states, leaseReturns } = await storedInLapse();
  const left = called.catch((error: unknown) => error);
  caller.disconnect();
  expect(await left).toBeInstanceOf(Error);
  leaseReturns();
  await until(() => a.endpoint.health().state === 'serving');
  expect(await say(onA, 'count')).toBe('1');
  expect(states).toEqual([]);
});

/** A relayed call that may run twice. Its answer is stored, but its relaying instance lost the lease before it came. */
async function answeredUnheard(options: FleetOptions = {}) {
  const ran: string[] = [];
  const lab = createLab((server) => {
    server.registerTool('look', { annotations: { readOnlyHint: true } }, async () => {
      ran.push('look');
      return { content: [{ type: 'text', text: `look ${ran.length}` }] };
    });
  });
  const fleet = await pair(options, [lab]);
  const { a, b, ofA, ofB, time } = fleet;
  const onA = await a.openSession();
  await onA.call('tools/list');
  const stored = gate();
  ofA.before['sessions.append'] = stored.hook;
  const called = b.join(onA).call(...tool('look'));
  await until(() => ran.length === 1 && stored.waiting === 1);
  await lapse(b, ofB, time);
  const unheard = gate();
  ofA.before['instances.send'] = unheard.hook;
  delete ofA.before['sessions.append'];
  stored.open();
  // Its answer is stored after that of the call.
  expect(await say(onA, 'count')).toBe('1');
  return { ...fleet, onA, called, ran, retry: () => sendAgain(fleet, unheard) };
}

test('where that answer is not kept any more, the retry runs the call again', async () => {
  const { called, ran, onA, retry } = await answeredUnheard({ eventRetention: { events: 2 } });
  for (let n = 2; n < 5; n++) expect(await say(onA, 'count')).toBe(`${n}`);
  await retry();
  expect(textOf((await called).message)).toBe('look 2');
  expect(ran).toEqual(['look', 'look']);
});

test('a retry that arrives after the answer of a call that may run twice gets that answer, once the store is back', async () => {
  const { called, ran, ofA, retry } = await answeredUnheard();
  let reads = 0;
  ofA.before['sessions.replay'] = () => {
    if (reads++ < 2) throw storeAway('the test says so');
  };
  await retry();
  expect(textOf((await called).message)).toBe('look 1');
  expect(ran).toEqual(['look']);
  expect(reads).toBe(3);
});
