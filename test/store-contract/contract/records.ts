import assert from 'node:assert/strict';
import { test } from './store-case.ts';
import { FENCE, readLiving, recordOf } from './store-kit.ts';

/** Ids are any visible ASCII: characters with a meaning in a key, a pattern, a path or an object are ordinary here. */
const ODD_IDS = [
  '__proto__',
  'constructor',
  'a:b',
  'a*',
  'a?',
  '{a}',
  "a'b",
  'a"b',
  'a\\b',
  'a%b',
  '../a',
  'a.b',
  'A',
  'a',
];
const LONGEST_ID = 'x'.repeat(256);

export const recordCases = [
  test('create/read: a created record is read as it was created, from every view', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    assert.equal(await here.records.create(recordOf('s')), 'created');
    assert.deepEqual(await here.records.read('s'), recordOf('s'));
    assert.deepEqual(await there.records.read('s'), recordOf('s'));
  }),
  test('create/empty-members: a record keeps what is null, empty or zero in it', async (kit) => {
    const view = await kit.open();
    const empty = recordOf('s', { owner: null, user: null, head: '', body: '', fields: {}, createdAt: 0, stamp: 0 });
    await view.records.create(empty);
    assert.deepEqual(await view.records.read('s'), empty);
  }),
  test('create/odd-ids: every id of visible ASCII names a separate session', async (kit) => {
    const view = await kit.open();
    const ids = [...ODD_IDS, LONGEST_ID];
    for (const id of ids) assert.equal(await view.records.read(id), undefined, id);
    for (const id of ids) assert.equal(await view.records.create(recordOf(id, { body: id })), 'created', id);
    for (const id of ids) assert.deepEqual(await view.records.read(id), recordOf(id, { body: id }));
    assert.equal((await view.records.list(1_000)).records.length, ids.length);
  }),
  test('create/race: of concurrent creates exactly one wins, and its record stays', async (kit) => {
    const views = [await kit.open(), await kit.open(), await kit.open()];
    const tries = views.flatMap((view, v) => [0, 1, 2].map((n) => ({ view, user: `user-${v}-${n}` })));
    const outcomes = await Promise.all(
      tries.map(async ({ view, user }) => ({ user, outcome: await view.records.create(recordOf('s', { user })) })),
    );
    const created = outcomes.filter(({ outcome }) => outcome === 'created');
    assert.equal(created.length, 1);
    assert.deepEqual(await views[0]?.records.read('s'), recordOf('s', { user: created[0]?.user ?? null }));
  }),
  test('read/snapshot: a record that was read or handed in stays apart from the stored one', async (kit) => {
    const view = await kit.open();
    const fields: Record<string, string> = { a: '1' };
    await view.records.create(recordOf('s', { fields }));
    fields['a'] = '2';
    const before = await view.records.read('s');
    assert.deepEqual(before, recordOf('s', { fields: { a: '1' } }));
    await view.records.save('s', FENCE, { fields: { a: '3' }, head: 'error' });
    assert.deepEqual(before, recordOf('s', { fields: { a: '1' } }));
  }),
  test('save/large: a state of 256 KiB comes back whole', async (kit) => {
    const view = await kit.open();
    const large = JSON.stringify('é🧪'.repeat(262_144 / 6));
    await view.records.create(recordOf('s'));
    await view.records.save('s', FENCE, { fields: { large } });
    assert.equal((await readLiving(view, 's')).fields['large'], large);
  }),
  test('save/concurrent: saves of one owner that are under way together all take effect', async (kit) => {
    const view = await kit.openWith([recordOf('s', { fields: {} })]);
    const keys = Array.from({ length: 20 }, (_, n) => `key-${n}`);
    const outcomes = await Promise.all(
      keys.map(async (key) => view.records.save('s', FENCE, { fields: { [key]: '1' } })),
    );
    assert.deepEqual(new Set(outcomes), new Set(['written']));
    assert.deepEqual(Object.keys((await readLiving(view, 's')).fields).sort(), [...keys].sort());
  }),
];
