import assert from 'node:assert/strict';
import type { StoredRecord } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { test } from './store-case.ts';
import { FENCE, readLiving, recordOf } from './store-kit.ts';

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
];
