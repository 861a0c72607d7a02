/** Leases of instances. Those of a memory store have no clock: its instances live and die with its process. */
import assert from 'node:assert/strict';
import type { InstanceLease } from '../../../src/stores/store.ts';
import type { View } from './view.ts';
import { announce, ME, OTHER, PAST_SHORT_MS, SHORT_MS, sortedBy, test } from './store-kit.ts';

/** The members of a lease that callers know; a store may add more. */
const shown = (lease: InstanceLease | undefined) =>
  lease && { id: lease.id, state: lease.state, version: lease.version, process: lease.process };

const PROCESS = {
  host: 'web-1',
  pid: 4711,
  startedAt: 1_800_000_000_000,
  runtime: 'Node.js 22.12.0',
};

async function lease(view: View, id: string): Promise<InstanceLease> {
  const found = await view.instances.read(id);
  assert.ok(found, `${id} has no lease`);
  return found;
}

async function assertDead(view: View, id: string): Promise<void> {
  assert.equal(await view.instances.read(id), undefined);
  assert.ok(!(await view.instances.list()).some((other) => other.id === id));
  assert.equal(await view.instances.renew(id, 'serving'), false);
  assert.equal(await view.instances.read(id), undefined);
}

export const leaseCases = [
  test('lease/announce: every view reads an instance as it announced itself, and the state of its last renewal', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    assert.equal(await there.instances.read(ME), undefined);
    assert.deepEqual(await there.instances.list(), []);
    const mine = { id: ME, version: '1.2.3', process: PROCESS };
    const other = { id: OTHER, state: 'draining', version: '1.2.4' } as const;
    await here.instances.announce({ ...mine, state: 'serving' }, () => undefined);
    await there.instances.announce(other, () => undefined);
    for (const state of ['serving', 'draining'] as const) {
      assert.equal(await here.instances.renew(ME, state), true);
      for (const view of [here, there]) {
        assert.deepEqual(shown(await view.instances.read(ME)), { ...mine, state });
        assert.deepEqual(shown(await view.instances.read(OTHER)), { ...other, process: undefined });
        assert.deepEqual(sortedBy('id', await view.instances.list()).map(shown), [
          { ...mine, state },
          { ...other, process: undefined },
        ]);
      }
    }
    assert.equal(await there.instances.bury(await lease(there, ME)), true);
  }),
  test('lease/leave: an instance that leaves, or was never announced, is dead at once, and stays so', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    await assertDead(there, 'never');
    await here.instances.leave(ME);
    await assertDead(there, ME);
    await here.instances.leave(ME);
    await assert.rejects(async () => announce(here, ME));
    await assertDead(here, ME);
  }),
  test('lease/bury: a lease is buried once, where it was not renewed since it was seen, and death is final', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    for (const state of ['serving', 'draining'] as const) {
      const early = await lease(there, ME);
      assert.equal(await here.instances.renew(ME, state), true);
      assert.equal(await there.instances.bury(early), false);
    }
    const seen = await lease(there, ME);
    const burials = [there, there, here].map(async ({ instances }) => instances.bury(seen));
    assert.deepEqual((await Promise.all(burials)).toSorted(), [false, false, true]);
    await assertDead(here, ME);
    assert.equal(await there.instances.bury(seen), false);
    assert.equal(await there.instances.bury({ ...seen, id: 'never' }), false);
  }),
];

/** Where several processes share the leases. */
export const sharedLeaseCases = [
  test('lease/expiry: a lease lasts while it is renewed in time, then it runs out, and its id is dead for ever', async (kit) => {
    const view = await kit.openAs(ME, { leaseMs: SHORT_MS });
    for (let n = 0; n < 3; n++) {
      await kit.pass(SHORT_MS / 2);
      assert.equal(await view.instances.renew(ME, 'serving'), true);
    }
    assert.equal((await view.instances.read(ME))?.id, ME);
    await kit.pass(PAST_SHORT_MS);
    await assertDead(view, ME);
  }),
  test('lease/stored-death: a lease that was found expired is dead for ever, also when the clock is set back', async (kit) => {
    const [here, there] = [
      await kit.openAs(ME, { leaseMs: SHORT_MS }),
      await kit.open({ leaseMs: SHORT_MS }),
    ];
    await kit.pass(PAST_SHORT_MS);
    assert.equal(await there.instances.read(ME), undefined);
    await kit.pass(-PAST_SHORT_MS);
    assert.equal(await there.instances.read(ME), undefined);
    assert.equal(await here.instances.renew(ME, 'serving'), false);
    assert.equal(await there.instances.read(ME), undefined);
  }),
];
