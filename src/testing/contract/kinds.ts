import assert from 'node:assert/strict';
import { readEnded } from './ended.ts';
import {
  FENCE,
  ME,
  OWNERLESS,
  PAST_SHORT_MS,
  SHORT_MS,
  announce,
  inTime,
  recordOf,
  type StoreCase,
} from './store-kit.ts';

/** Records of another kind than the other cases use. */
const KIND = { kind: 'parcels' };
const UNLISTED = { kind: 'letters', listed: false, log: false, keepMs: SHORT_MS } as const;

export const kindCases: readonly StoreCase[] = [
  {
    id: 'kind/apart',
    title: 'records of two kinds under one id know nothing of each other, and share the instances',
    async run(kit) {
      const [things, parcels] = [await kit.open(), await kit.open(KIND)];
      await announce(things, ME);
      assert.equal((await parcels.instances.read(ME))?.id, ME);
      await things.records.create(recordOf('a', { head: 'thing' }));
      assert.equal(await parcels.records.read('a'), undefined);
      assert.equal(await parcels.records.create(recordOf('a', { head: 'parcel' })), 'created');
      const append = { id: 'a', fence: FENCE, stream: 'p', from: 0, events: ['1'] };
      assert.equal(await parcels.records.append(append), 'written');
      assert.deepEqual(await things.records.replay('a', 'p', -1), { found: false, why: 'unknown' });
      assert.deepEqual(await things.records.list(10), { records: [recordOf('a', { head: 'thing' })] });
      assert.deepEqual(await parcels.records.list(10), { records: [recordOf('a', { head: 'parcel' })] });
      assert.equal(await parcels.records.end('a', FENCE, 'delivered'), 'ended');
      assert.deepEqual(await things.records.read('a'), recordOf('a', { head: 'thing' }));
      await things.records.end('a', FENCE, 'deleted');
      assert.equal((await readEnded(parcels, 'a')).outcome, 'delivered');
    },
  },
  {
    id: 'kind/unlisted',
    title: 'a record that is not listed lives, ends and expires as any other, and goes without an end',
    run: inTime(async (kit) => {
      const [here, there] = [await kit.open(UNLISTED), await kit.open(UNLISTED)];
      await here.records.create(recordOf('a', { owner: null }), 600_000);
      const claim = await there.records.claim('a', OWNERLESS, ME);
      assert.ok(claim.claimed);
      const fence = { epoch: 2, owner: ME };
      assert.equal(await there.records.mark('a', fence, { name: '1', stream: 'p' }), 'written');
      assert.equal(await there.records.save('a', fence, { fields: { late: '1' } }), 'written');
      assert.equal(await there.records.end('a', fence, 'answer', 600_000), 'ended');
      assert.equal((await readEnded(here, 'a')).outcome, 'answer');
      await here.records.create(recordOf('b'), 1);
      await kit.pass(SHORT_MS / 2);
      assert.equal((await readEnded(there, 'b')).outcome, '');
      await kit.pass(PAST_SHORT_MS);
      await here.records.trim();
      assert.equal(await there.records.read('b'), undefined);
      assert.equal(await there.records.create(recordOf('b')), 'created');
      assert.equal((await readEnded(here, 'a')).outcome, 'answer');
    }),
  },
];
