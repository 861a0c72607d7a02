/** Leases of instances. Those of a memory store have no clock: its instances live and die with its process. */
import assert from 'node:assert/strict';
import { afterTurn } from '../../../src/base/system.ts';
import type { InstanceLease } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { announce, ME, OTHER, PAST_SHORT_MS, SHORT_MS, sortedBy, test } from './store-kit.ts';

/** The members of a lease that callers know; a store may add more. */
const shown = (lease: InstanceLease | undefined) =>
  lease && { id: lease.id, state: lease.state, version: lease.version, process: lease.process };

const PROCESS = { host: 'web-1', pid: 4711, startedAt: 1_800_000_000_000, runtime: 'Node.js 22.12.0' };

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

/** Instances of `lease/read-or-renew`, each renewed once, at another distance from the end of its lease. */
const INSTANCES = 16;
const STEP_MS = 15;
/** A call gets an answer within two thirds of a lease: a machine that stalls takes longer than that of a short one. */
const RENEWED_MS = 2_000;

/** Renews a lease near its end while another view reads it. Returns what is wrong; empty: nothing. */
async function readAndRenew(here: View, there: View, id: string): Promise<string> {
  let renewed: boolean | undefined;
  const renewal = (async () => here.instances.renew(id, 'serving'))().then((done) => (renewed = done));
  let gone = false;
  while (renewed === undefined && !gone) {
    gone = (await there.instances.read(id)) === undefined;
    await new Promise<void>((next) => afterTurn(next));
  }
  await renewal;
  if (!gone) return '';
  if (renewed === true) return `${id} was found expired, and then renewed`;
  return (await there.instances.read(id)) === undefined ? '' : `${id} was found expired, and then alive`;
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
  test('lease/read-or-renew: a lease that a read found expired is not renewed, not even by a renewal that had begun', async (kit) => {
    const [here, there] = [await kit.open({ leaseMs: RENEWED_MS }), await kit.open({ leaseMs: RENEWED_MS })];
    const ids = Array.from({ length: INSTANCES }, (_, n) => `instance-${n}`);
    await Promise.all(ids.map((id) => announce(here, id)));
    await kit.pass(RENEWED_MS - (INSTANCES / 2) * STEP_MS);
    const checks: Array<Promise<string>> = [];
    for (const id of ids) {
      checks.push(readAndRenew(here, there, id));
      await kit.pass(STEP_MS);
    }
    const wrong = await Promise.all(checks);
    assert.deepEqual(wrong.filter(Boolean), []);
  }),
  test('lease/stored-death: a lease that was found expired is dead for ever, also when the clock is set back', async (kit) => {
    const [here, there] = [await kit.openAs(ME, { leaseMs: SHORT_MS }), await kit.open({ leaseMs: SHORT_MS })];
    await kit.pass(PAST_SHORT_MS);
    assert.equal(await there.instances.read(ME), undefined);
    await kit.pass(-PAST_SHORT_MS);
    assert.equal(await there.instances.read(ME), undefined);
    assert.equal(await here.instances.renew(ME, 'serving'), false);
    assert.equal(await there.instances.read(ME), undefined);
  }),
];
