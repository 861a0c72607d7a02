import assert from 'node:assert/strict';
import { dueNow } from '../view.ts';
import { readEnded } from './ended.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest } from './store-case.ts';
import { FENCE, ME, OTHER, OWNERLESS, recordOf, claimed, NEXT, ANEW, append } from './store-kit.ts';

/** Records of another kind than the other cases use. */
const KIND = { kind: 'parcels', grouped: true, evicts: false } as const;
const UNLISTED = { kind: 'letters', listed: false, log: false, keepMs: SHORT_MS } as const;

export const kindCases = [
  test('kind/apart: records of two kinds under one id know nothing of each other, and share the instances', async (kit) => {
    const [things, parcels] = [await kit.openAs(ME), await kit.open(KIND)];
    assert.equal((await parcels.instances.read(ME))?.id, ME);
    await things.records.create(recordOf('user.a', { head: 'thing' }));
    assert.equal(await parcels.records.read('user.a'), undefined);
    assert.equal(await parcels.records.create(recordOf('user.a', { head: 'parcel' })), 'created');
    assert.equal(await append(parcels, 'p', 0, ['1'], { id: 'user.a' }), 'written');
    assert.deepEqual(await things.records.replay('user.a', 'p', -1), { found: false, why: 'unknown' });
    assert.deepEqual(await things.records.list(10), { records: [recordOf('user.a', { head: 'thing' })] });
    assert.deepEqual(await parcels.records.list(10), { records: [recordOf('user.a', { head: 'parcel' })] });
    assert.equal(await parcels.records.end('user.a', FENCE, 'delivered'), 'ended');
    assert.deepEqual(await things.records.read('user.a'), recordOf('user.a', { head: 'thing' }));
    await things.records.end('user.a', FENCE, 'deleted');
    assert.equal((await readEnded(parcels, 'user.a')).outcome, 'delivered');
  }),
  test('kind/made-up: a kind that no store knows: group, fields, log, due time and outcome, begun by one instance and ended by the next', async (kit) => {
    const [here, there] = [await kit.openAs(ME, KIND), await kit.openAs(OTHER, KIND)];
    const parcel = recordOf('user.p1', { body: 'order', fields: { to: 'Ada' } });
    assert.equal(await here.records.create(parcel, 3_600_000, 600_000), 'created');
    const logged = { id: parcel.id, fence: FENCE, stream: 'way', note: 'note' };
    const mark = { name: 'send', stream: 'way' };
    assert.equal(await here.records.append({ ...logged, from: 0, events: ['1', '2'], mark }), 'written');
    assert.equal(await there.records.add(parcel.id, 'door', 'back'), 'added');
    await here.instances.leave(ME);
    const [due] = await dueNow(there, 10);
    assert.deepEqual(due, { id: parcel.id, ...FENCE, expired: false });
    assert.equal(await there.instances.read(ME), undefined);
    assert.deepEqual(
      (await there.records.list(10, undefined, 'user')).records.map(({ id }) => id),
      [parcel.id],
    );
    const claim = claimed(await there.records.claim(parcel.id, FENCE, OTHER));
    assert.deepEqual(claim.record.fields, { to: 'Ada', door: 'back' });
    assert.deepEqual([claim.marks, claim.streams], [[mark], [{ stream: 'way', next: 2, note: 'note' }]]);
    assert.equal(await here.records.save(parcel.id, FENCE, { head: 'late' }), 'fenced');
    const more = { ...logged, fence: NEXT, from: 2, events: ['3'], complete: true, unmark: mark };
    assert.equal(await there.records.append(more), 'written');
    const heard = { due: { inMs: null, seen: claim.record.rung } };
    assert.equal(await there.records.save(parcel.id, NEXT, { fields: { to: null }, ...heard }), 'written');
    const replayed = await here.records.replay(parcel.id, 'way', 0);
    assert.deepEqual(replayed.found && replayed.events.map(({ data }) => data), ['2', '3']);
    assert.equal(await there.records.end(parcel.id, NEXT, '{"signed":"Ada"}'), 'ended');
    assert.equal((await readEnded(here, parcel.id)).outcome, '{"signed":"Ada"}');
    assert.deepEqual(
      [await here.records.list(10, undefined, 'user'), await there.records.count('user')],
      [{ records: [] }, 0],
    );
    assert.equal(await here.records.add(parcel.id, 'late', '1'), 'gone');
    assert.deepEqual(await dueNow(here, 10), []);
  }),
  timedTest(
    'kind/unlisted: a record that is not listed lives, ends and expires as any other, and goes without an end',
    async (kit) => {
      const [here, there] = [await kit.open(UNLISTED), await kit.open(UNLISTED)];
      await here.records.create(recordOf('a', { owner: null }), 600_000);
      claimed(await there.records.claim('a', OWNERLESS, ME));
      assert.equal(
        await there.records.append({ id: 'a', fence: ANEW, stream: null, mark: { name: '1', stream: 'p' } }),
        'written',
      );
      assert.equal(await there.records.save('a', ANEW, { fields: { late: '1' } }), 'written');
      assert.equal(await there.records.end('a', ANEW, 'answer', 600_000), 'ended');
      assert.equal((await readEnded(here, 'a')).outcome, 'answer');
      await here.records.create(recordOf('b'), 1);
      await kit.pass(SHORT_MS / 2);
      assert.equal((await readEnded(there, 'b')).outcome, '');
      await kit.pass(PAST_SHORT_MS);
      await here.records.trim();
      assert.equal(await there.records.read('b'), undefined);
      assert.equal(await there.records.create(recordOf('b')), 'created');
      assert.equal((await readEnded(here, 'a')).outcome, 'answer');
    },
  ),
];
