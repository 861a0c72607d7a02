/** Cases about the store's clock: it decides, and what it decided once stays decided. */
import assert from 'node:assert/strict';
import { afterTurn } from '../../../src/base/system.ts';
import type { View } from '../view.ts';
import { PAST_SHORT_MS, SHORT_MS, test, needing } from './store-case.ts';
import { announce, ME } from './store-kit.ts';

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

export const clockCases = [
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
