import assert from 'node:assert/strict';
import { allPages, idsOf } from '../view.ts';
import { test } from './store-case.ts';
import { FENCE, ME, readLiving, recordOf } from './store-kit.ts';

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
