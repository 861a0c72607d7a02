/** Cases about the store's clock: it decides, and what it decided once stays decided. */
import assert from 'node:assert/strict';
import { afterTurn } from '../../../src/base/system.ts';
import { dueNow, type View } from '../view.ts';
import { PAST_SHORT_MS, SHORT_MS, test, needing } from './store-case.ts';
import { FENCE, ME, OTHER, announce, readEnded, readLiving, recordOf, claimed, NEXT, append } from './store-kit.ts';

const HOUR_MS = 3_600_000;
const LASTS_MS = HOUR_MS;
/** The clocks of a store and of this process differ by less, and this process may stall for less. */
const CLOCK_SLACK_MS = 60_000;

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

function assertNear(ms: number | null | undefined, expected: number, what: string): void {
  assert.ok(typeof ms === 'number' && Math.abs(ms - expected) < CLOCK_SLACK_MS, `${what}: ${ms}, not ${expected}`);
}

export const clockCases = [
  ...needing('store-clock', [
    test('clock/process: a process whose clock is 3 h off stores the same expiries, leases and ages as any other', async (kit) => {
      const right = await kit.open();
      for (const offMs of [-3 * HOUR_MS, 3 * HOUR_MS]) {
        const off = await kit.open({ clockOffMs: offMs });
        const [id, me] = [`s${offMs}`, `instance-${offMs}`];
        await announce(off, me);
        assert.equal((await right.instances.read(me))?.id, me, 'the lease');
        assert.equal(await off.instances.renew(me, 'serving'), true);
        await off.records.create(recordOf(id), LASTS_MS);
        assertNear((await readLiving(right, id)).expiresAt, kit.now() + LASTS_MS, 'the expiry of a created session');
        await readLiving(off, id);
        assert.equal(await off.records.save(id, FENCE, { expiresInMs: 2 * LASTS_MS }), 'written');
        assertNear((await readLiving(right, id)).expiresAt, kit.now() + 2 * LASTS_MS, 'the expiry that a save moved');
        await append(off, 'p', 0, ['1'], { id });
        await off.records.trim();
        for (const view of [right, off]) assert.ok((await view.records.replay(id, 'p', -1)).found, 'an event');
        const claim = claimed(await off.records.claim(id, FENCE, OTHER));
        assertNear(claim.expiresInMs, 2 * LASTS_MS, 'the time that a claim answers');
        const secret = await off.secret(`key ${offMs}`, LASTS_MS);
        assert.deepEqual([...(await right.secret(`key ${offMs}`, LASTS_MS))], [...secret], 'a secret');
        const ended = await off.records.end(id, NEXT, 'deleted');
        assert.equal(ended, 'ended');
        assertNear((await readEnded(right, id)).at, kit.now(), 'the time of the end');
        assert.equal(await right.records.create(recordOf(id)), 'exists');
        assert.deepEqual(await dueNow(off, 10), []);
      }
    }),
  ]),
  ...needing('lease-expiry', [
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
  ]),
  ...needing('clock-set-back', [
    test('lease/stored-death: a lease that was found expired is dead for ever, also when the clock is set back', async (kit) => {
      const [here, there] = [await kit.openAs(ME, { leaseMs: SHORT_MS }), await kit.open({ leaseMs: SHORT_MS })];
      await kit.pass(PAST_SHORT_MS);
      assert.equal(await there.instances.read(ME), undefined);
      await kit.pass(-PAST_SHORT_MS);
      assert.equal(await there.instances.read(ME), undefined);
      assert.equal(await here.instances.renew(ME, 'serving'), false);
      assert.equal(await there.instances.read(ME), undefined);
    }),
  ]),
];
