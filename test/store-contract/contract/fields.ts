import assert from 'node:assert/strict';
import type { StoredRecord } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { test } from './store-case.ts';
import { FENCE, ME, OTHER, OWNERLESS, readLiving, recordOf, NEXT } from './store-kit.ts';

type Fields = StoredRecord['fields'];

const MANY = 1_000;
const manyFields: Fields = Object.fromEntries(
  Array.from({ length: MANY }, (_, n) => [`u"file:///folder/${'x'.repeat(40)}/${n}"`, '1']),
);

const removed = (...names: string[]): Record<string, null> => Object.fromEntries(names.map((name) => [name, null]));

const fieldsOf = async (view: View): Promise<Fields> => (await readLiving(view, 's')).fields;

/** Fields have no order, and `__proto__` is an ordinary name. */
function assertFields(got: Fields, expected: Fields): void {
  const entries = (fields: Fields): [string, string][] => Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepEqual(entries(got), entries(expected));
}

export const fieldCases = [
  test('fields/change: fields are set, replaced and deleted one by one, and read from every view', async (kit) => {
    const [here, there] = await kit.openTwoWith([recordOf('s', { fields: { a: '1', b: '2' } })]);
    await here.records.save('s', FENCE, { fields: { b: 'new', c: '3', a: null, missing: null } });
    assertFields(await fieldsOf(there), { b: 'new', c: '3' });
    const [listed] = (await there.records.list(10)).records;
    assertFields(listed?.fields ?? {}, { b: 'new', c: '3' });
    await here.records.save('s', FENCE, { fields: removed('b', 'c') });
    assertFields(await fieldsOf(there), {});
  }),
  test('fields/idempotent: the same change written twice is as if it was written once', async (kit) => {
    const view = await kit.openWith([recordOf('s', { fields: { a: '1', b: '1' } })]);
    for (let times = 0; times < 2; times++) {
      assert.equal(await view.records.save('s', FENCE, { fields: { c: '2', b: null, never: null } }), 'written');
      assertFields(await fieldsOf(view), { a: '1', c: '2' });
    }
  }),
  test('fields/odd-names: names may have any characters and 400 bytes, and no other member of the record changes with them', async (kit) => {
    const view = await kit.open();
    const odd = ['__proto__', 'constructor', ' ', '"', "'", '\\', '\n', 'größe', '🧪', '.a', 'n', 's', '1', '0', '#'];
    const long = [`u"${'x'.repeat(396)}1"`, `u"${'x'.repeat(396)}2"`];
    const fields = Object.fromEntries([...odd, ...long].map((name) => [name, JSON.stringify(name)]));
    await view.records.create(recordOf('s', { fields: {} }));
    for (const [name, value] of Object.entries(fields))
      await view.records.save('s', FENCE, { fields: { [name]: value } });
    const record = await readLiving(view, 's');
    assertFields(record.fields, fields);
    assert.deepEqual({ ...record, fields: {} }, recordOf('s', { fields: {} }));
    await view.records.save('s', FENCE, { fields: removed(...odd, long[0] ?? '') });
    assertFields(await fieldsOf(view), { [long[1] ?? '']: JSON.stringify(long[1]) });
  }),
  test('fields/fenced: only the owner changes fields, and a change comes whole with the rest of its write', async (kit) => {
    const [here, there] = await kit.openTwoWith([recordOf('s', { owner: null, fields: { a: '1' } })]);
    const change = { fields: { a: null, b: '1' }, head: 'changed' };
    assert.equal(await here.records.save('s', FENCE, change), 'fenced');
    const claim = await there.records.claim('s', OWNERLESS, OTHER);
    assert.deepEqual(claim.claimed && claim.record.fields, { a: '1' });
    assert.equal(await here.records.save('s', FENCE, change), 'fenced');
    assert.equal(await here.records.save('s', { epoch: 2, owner: ME }, change), 'fenced');
    assertFields(await fieldsOf(here), { a: '1' });
    assert.equal(await there.records.save('s', NEXT, { release: true, ...change }), 'written');
    const expected = { epoch: 2, owner: null, fields: { b: '1' }, head: 'changed' };
    assert.deepEqual(await here.records.read('s'), recordOf('s', expected));
  }),
  test('fields/together: changes that are under way together take effect in their order', async (kit) => {
    const view = await kit.openWith([recordOf('s', { fields: {} })]);
    const saves = Array.from({ length: 20 }, async (_, n) =>
      view.records.save('s', FENCE, { fields: { last: `${n}`, [`${n}`]: '1', [`${n - 1}`]: null } }),
    );
    assert.deepEqual(new Set(await Promise.all(saves)), new Set(['written']));
    assertFields(await fieldsOf(view), { last: '19', 19: '1' });
  }),
  test('fields/many: a thousand fields are kept, changed and read whole', async (kit) => {
    const view = await kit.openWith([recordOf('s', { fields: {} })]);
    const all = Object.entries(manyFields);
    for (let from = 0; from < MANY; from += 100)
      await view.records.save('s', FENCE, { fields: Object.fromEntries(all.slice(from, from + 100)) });
    assertFields(await fieldsOf(view), manyFields);
    const names = Object.keys(manyFields);
    await view.records.save('s', FENCE, { fields: removed(...names.slice(1)) });
    assertFields(await fieldsOf(view), { [names[0] ?? '']: '1' });
  }),
  test('fields/ended: an ended session leaves no fields to a later session with its id', async (kit) => {
    const view = await kit.openWith([recordOf('s', { fields: { a: '1' } })], { keepMs: 1 });
    await view.records.save('s', FENCE, { fields: { b: '1' } });
    assert.equal(await view.records.end('s', FENCE, 'deleted'), 'ended');
    await kit.pass(50);
    assert.equal(await view.records.create(recordOf('s', { fields: { c: '1' } })), 'created');
    await view.records.save('s', FENCE, { fields: { a: '2' } });
    assertFields(await fieldsOf(view), { c: '1', a: '2' });
  }),
];
