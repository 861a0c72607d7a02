/** Cases that need a server which the test can freeze. They refuse a store that waits for an answer without a bound. */
import assert from 'node:assert/strict';
import { elapse, systemTime, within } from '../../../src/base/system.ts';
import type { StoredRecord } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { until } from '../../../src/testing/until.ts';
import { test, needing } from './store-case.ts';
import { FENCE, ME, OTHER, recordOf, type StoreKit, append } from './store-kit.ts';

const LEASE_MS = 900;
/** What a call may take: two thirds of the lease, and two seconds in which a broken connection is made again. */
const LIMIT_MS = (LEASE_MS * 2) / 3 + 2_000;
/** A busy machine is late. A store without a bound never answers. */
const SLACK_MS = 10_000;
const BACK_MS = 30_000;
const POLL_MS = 20;
/** After an outage: how long a write whose caller was refused may still arrive. */
const LATE_MS = 1_000;

/** Calls about records of a grouped kind. */
const OF_GROUPS: Readonly<Record<string, (view: View) => unknown>> = {
  count: ({ records }) => records.count('g'),
  listOfGroup: ({ records }) => records.list(10, undefined, 'g'),
  endOfGroup: ({ records }) => records.end('g.1', FENCE, 'deleted'),
};

/** One call of each other kind. */
export const ALL_CALLS: Readonly<Record<string, (view: View) => unknown>> = {
  read: ({ records }) => records.read('s'),
  create: ({ records }) => records.create(recordOf('new')),
  claim: ({ records }) => records.claim('other', FENCE, OTHER),
  save: ({ records }) => records.save('s', FENCE, { head: 'info' }),
  release: ({ records }) => records.save('released', FENCE, { release: true }),
  end: ({ records }) => records.end('ended', FENCE, 'deleted'),
  mark: ({ records }) => records.append({ id: 's', fence: FENCE, stream: null, mark: { name: '1', stream: 'p' } }),
  list: ({ records }) => records.list(10),
  due: ({ records }) => records.due(10),
  append: (view) => append(view, 'q', 0, ['1']),
  replay: ({ records }) => records.replay('s', 'p', -1),
  lease: ({ instances }) => instances.read(ME),
  leases: ({ instances }) => instances.list(),
  renew: ({ instances }) => instances.renew(ME, 'serving'),
  send: ({ instances }) => instances.send(ME, OTHER, { kind: 'call' }),
  publish: ({ instances }) => instances.publish(ME, { kind: 'event' }),
  secret: ({ secret }) => secret('one'),
};

async function outcomeOf(call: () => unknown): Promise<'answered' | 'not in time' | { readonly code?: unknown }> {
  const answered = (async () => call())().then(() => 'answered' as const);
  try {
    return await within(systemTime, LIMIT_MS + SLACK_MS, answered, () => 'not in time' as const);
  } catch (error) {
    return error as { readonly code?: unknown };
  }
}

/** Repeats until it answers. */
async function onceBack<T>(call: () => T | Promise<T>, what: string): Promise<T> {
  const times = { timeoutMs: BACK_MS, pollMs: POLL_MS };
  const [answer] = await until(async (): Promise<[T]> => [await call()], {
    ...times,
    what: `after the outage: ${what}`,
  });
  return answer;
}

async function during<T>({ outage }: StoreKit, work: () => Promise<T>): Promise<T> {
  assert.ok(outage, 'this case needs `outage` of the store under test');
  await outage.begin();
  try {
    return await work();
  } finally {
    await outage.end();
  }
}

export const outageCases = [
  ...needing('outage', [
    test('outage/bounded: while the server does not answer every call fails in time as STORE_AWAY; afterwards every call works again', async (kit) => {
      const view = await kit.openWith(['s', 'other', 'released', 'ended'], { leaseMs: LEASE_MS });
      await append(view, 'p', 0, ['1']);
      const grouped = await kit.openWith(['g.1'], { kind: 'parcels', grouped: true, leaseMs: LEASE_MS });
      const asked = (calls: Readonly<Record<string, (view: View) => unknown>>, of: View) =>
        Object.entries(calls).map(async ([name, call]) => [name, await outcomeOf(() => call(of))] as const);
      const outcomes = await during(kit, () => Promise.all([...asked(ALL_CALLS, view), ...asked(OF_GROUPS, grouped)]));
      for (const [name, outcome] of outcomes) {
        const shown = typeof outcome === 'object' ? outcome.code : outcome;
        assert.equal(shown, 'STORE_AWAY', `${name} while the server does not answer`);
      }
      const record = (await onceBack(() => view.records.read('s'), 'a read')) as StoredRecord;
      assert.equal(record.epoch, 1);
      assert.equal(await onceBack(() => view.records.save('s', FENCE, { head: 'debug' }), 'a save'), 'written');
      const replayed = await onceBack(() => view.records.replay('s', 'p', -1), 'a replay');
      assert.ok(replayed.found && replayed.events[0]?.data === '1');
      assert.ok((await onceBack(() => grouped.records.count('g'), 'a count')) <= 1);
    }),
    test('outage/order: a write that failed in an outage never takes effect after a later write', async (kit) => {
      const view = await kit.openWith([recordOf('s', { fields: {} })], { leaseMs: LEASE_MS });
      const early = await during(kit, () =>
        Promise.all([1, 2, 3].map((n) => outcomeOf(() => saved(view, `early ${n}`)))),
      );
      for (const outcome of early) assert.notEqual(outcome, 'not in time');
      assert.equal(await onceBack(() => saved(view, 'later'), 'a save'), 'written');
      await elapse(systemTime, LATE_MS);
      const record = (await onceBack(() => view.records.read('s'), 'a read')) as StoredRecord;
      assert.deepEqual(record.fields, { text: '"later"' });
    }),
  ]),
];

const saved = async (view: View, text: string) =>
  view.records.save('s', FENCE, { fields: { text: JSON.stringify(text) } });
