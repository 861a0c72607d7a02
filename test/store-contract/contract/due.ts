import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { DueRecord } from '../../../src/stores/store.ts';
import { until } from '../../../src/testing/until.ts';
import { allPages, dueNow, idsOf, type View } from '../view.ts';
import { CLOCK_SLACK_MS } from './ended.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest } from './store-case.ts';
import { FENCE, ME, OTHER, OWNERLESS, readLiving, recordOf, claimed, NEXT } from './store-kit.ts';

const DUE: DueRecord = { id: 'a', ...FENCE, expired: false };

/** The clocks of two views may differ by a round trip to the server. */
async function assertDue(view: View, expected: readonly DueRecord[]): Promise<void> {
  const isSame = async (): Promise<boolean> => isDeepStrictEqual(await dueNow(view, 10), expected);
  await until(isSame, { what: JSON.stringify(expected), timeoutMs: CLOCK_SLACK_MS });
}

export const dueCases = [
  test('add/once: any instance adds a field that is not there, once; every added field is counted', async (kit) => {
    const [here, there] = await kit.openTwoWith(['a']);
    const answers = [here, there, here].map(async (view, n) => view.records.add('a', 'answer', `${n}`));
    assert.deepEqual((await Promise.all(answers)).sort(), ['added', 'exists', 'exists']);
    assert.equal(await there.records.add('a', 'counter', '2'), 'exists', 'a field of its creation');
    assert.equal(await there.records.add('a', '__proto__', '3'), 'added');
    for (const view of [here, there]) {
      const { fields, rung } = await readLiving(view, 'a');
      assert.equal(rung, 2);
      assert.deepEqual(Object.keys(fields).sort(), ['__proto__', 'answer', 'counter', 'name with "quotes"']);
      assert.equal(fields['counter'], '1');
    }
    await here.records.save('a', FENCE, { fields: { answer: null } });
    assert.equal(await there.records.add('a', 'answer', 'again'), 'added', 'after its deletion');
    assert.equal((await readLiving(here, 'a')).rung, 3);
  }),
  test('add/gone: nothing is added to a record that is missing, has ended or has expired', async (kit) => {
    const view = await kit.openWith(['ended']);
    await view.records.end('ended', FENCE, 'deleted');
    await view.records.create(recordOf('expired'), 0);
    await kit.pass(1);
    for (const id of ['missing', 'ended', 'expired']) assert.equal(await view.records.add(id, 'f', '1'), 'gone', id);
    assert.deepEqual(await dueNow(view, 10), [{ id: 'expired', ...FENCE, expired: true }]);
  }),
  test('add/beside: fields that others add and the writes of the owner do not undo each other', async (kit) => {
    const [here, there] = await kit.openTwoWith(['a']);
    const names = Array.from({ length: 20 }, (_, n) => `${n}`);
    const saves = names.map(async (name) =>
      here.records.save('a', FENCE, { fields: { own: name, [`o${name}`]: '1' } }),
    );
    const adds = names.map(async (name) => there.records.add('a', name, 'added'));
    assert.deepEqual(new Set(await Promise.all(saves)), new Set(['written']));
    assert.deepEqual(new Set(await Promise.all(adds)), new Set(['added']));
    const { fields, rung } = await readLiving(here, 'a');
    assert.equal(rung, names.length);
    assert.equal(fields['own'], '19');
    for (const name of names) assert.deepEqual([fields[name], fields[`o${name}`]], ['added', '1'], name);
  }),
  test('due/bell: a record that rang stays due until its owner names what it has heard, also for the next owner', async (kit) => {
    const [here, there] = await kit.openTwoWith(['a']);
    assert.deepEqual(await dueNow(here, 10), []);
    await there.records.add('a', 'answer 1', 'yes');
    await assertDue(here, [DUE]);
    // The owner parks the record and has not read the answer.
    const parked = { due: { inMs: null, seen: 0 }, fields: { question: '2' } };
    assert.equal(await here.records.save('a', FENCE, { release: true, ...parked }), 'rung');
    await assertDue(there, [{ ...DUE, owner: null }]);
    const claim = claimed(await there.records.claim('a', OWNERLESS, OTHER));
    assert.deepEqual([claim.record.rung, claim.record.fields['question']], [1, '2']);
    await assertDue(here, [{ ...DUE, ...NEXT }]);
    assert.equal(await there.records.save('a', NEXT, { due: { inMs: 3_600_000, seen: 1 } }), 'written');
    assert.deepEqual(await dueNow(here, 10), []);
    await here.records.add('a', 'answer 2', 'yes');
    assert.equal(await there.records.save('a', NEXT, { head: 'x' }), 'written', 'a change without a due time');
    await assertDue(here, [{ ...DUE, ...NEXT }]);
    assert.equal(await there.records.save('a', NEXT, { release: true, due: { inMs: null, seen: 2 } }), 'written');
    assert.deepEqual(await dueNow(here, 10), []);
    assert.equal((await readLiving(here, 'a')).dueAt, null);
  }),
  timedTest(
    'due/times: a record is due at its time, from its creation or a write of its owner, and that is no end',
    async (kit) => {
      const view = await kit.open();
      await view.records.create(recordOf('created'), null, SHORT_MS);
      await view.records.create(recordOf('lasting'), 3_600_000, SHORT_MS);
      await view.records.create(recordOf('expiring'), SHORT_MS, 3_600_000);
      await view.records.create(recordOf('saved'), 3_600_000);
      await view.records.save('saved', FENCE, { due: { inMs: SHORT_MS, seen: 0 } });
      await view.records.create(recordOf('put off'), null, SHORT_MS);
      await view.records.save('put off', FENCE, { release: true, due: { inMs: 3_600_000, seen: 0 } });
      assert.deepEqual(await dueNow(view, 10), []);
      await kit.pass(PAST_SHORT_MS);
      const found = new Map((await dueNow(view, 10)).map((one) => [one.id, one.expired]));
      assert.deepEqual(Object.fromEntries(found), { created: false, expiring: true, lasting: false, saved: false });
      for (const id of ['created', 'lasting', 'saved'])
        assert.equal(await view.records.save(id, FENCE, { due: { inMs: null, seen: 0 } }), 'written', id);
      await view.records.end('expiring', FENCE, '');
      assert.deepEqual(await dueNow(view, 10), []);
    },
  ),
  test('due/pages: pages of any size name every due record, also while those of earlier pages end', async (kit) => {
    const view = await kit.open();
    const ids = Array.from({ length: 23 }, (_, n) => `r${n}`);
    for (const [n, id] of ids.entries()) await view.records.create(recordOf(id), n % 3 === 0 ? 0 : null, 0);
    await view.records.create(recordOf('later'), null, 3_600_000);
    await kit.pass(1);
    for (const limit of [1, 7, 23, 100]) {
      const named = await allPages(async (cursor) => {
        const page = await view.records.due(limit, cursor);
        assert.ok(page.records.length <= limit);
        return page;
      });
      assert.deepEqual([...new Set(idsOf(named))].sort(), [...ids].sort(), `pages of ${limit}`);
    }
    const named = await allPages(async (cursor) => {
      const page = await view.records.due(5, cursor);
      for (const { id, epoch } of page.records.slice(2))
        assert.equal(await view.records.end(id, { epoch, owner: ME }, ''), 'ended');
      return page;
    });
    assert.deepEqual([...new Set(idsOf(named))].sort(), [...ids].sort());
  }),
];
