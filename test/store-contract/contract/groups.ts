/** Groups of a kind: what `list` and `count` answer about one of them. */
import assert from 'node:assert/strict';
import { allPages, dueNow, idsOf, type View } from '../view.ts';
import { test } from './store-case.ts';
import { FENCE, recordOf, type StoreKit } from './store-kit.ts';

const GROUPED = { kind: 'parcels', grouped: true } as const;

/** Names of which one begins with another, or which mean something in a key, a pattern, a path or an object. */
const ALIKE = ['a', 'a-', 'a/', 'ab', 'A', 'aa', 'a~', 'a*', 'a?', '*', '>', '{a}', "a'", 'a%', '__proto__', 'a:b'];

const open = (kit: StoreKit): Promise<View> => kit.open(GROUPED);

const idsIn = async ({ records }: View, group: string, limit = 1_000): Promise<string[]> =>
  idsOf(await allPages((cursor) => records.list(limit, cursor, group)));

async function createIn(view: View, group: string, count: number, prefix = ''): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => `${group}.${prefix}${n}`);
  await Promise.all(ids.map(async (id) => assert.equal(await view.records.create(recordOf(id)), 'created', id)));
  return ids;
}

/** Refused as a mistake of the caller, and not as an outage. */
async function assertRefused(call: () => unknown, what: string): Promise<void> {
  const refused = (error: { readonly code?: unknown }): boolean => error.code === 'INTERNAL';
  await assert.rejects(async () => call(), refused, what);
}

export const groupCases = [
  test('group/list: the listing of a group has its records alone, whole and once, on pages of every size', async (kit) => {
    const [here, there] = [await open(kit), await open(kit)];
    const [mine, others] = [await createIn(here, 'mine', 23), await createIn(here, 'others', 7)];
    const order = await idsIn(there, 'mine');
    assert.deepEqual([...order].sort(), [...mine].sort());
    for (const limit of [1, 5, 22, 23, 24])
      assert.deepEqual(await idsIn(there, 'mine', limit), order, `pages of ${limit}`);
    assert.deepEqual((await idsIn(there, 'others')).sort(), [...others].sort());
    assert.deepEqual(await there.records.list(10, undefined, 'none'), { records: [] });
    assert.deepEqual((await there.records.list(1, undefined, 'mine')).records, [recordOf(order[0] ?? '')]);
    assert.equal((await allPages((cursor) => here.records.list(4, cursor))).length, 30);
  }),
  test('group/alike: groups whose names begin alike, or mean something to a store, know nothing of each other', async (kit) => {
    const view = await open(kit);
    const created = await Promise.all(
      ALIKE.map(async (group, n) => ({ group, ids: await createIn(view, group, 1 + (n % 3), 'a.') })),
    );
    const check = async ({ group, ids }: (typeof created)[number]): Promise<void> => {
      assert.deepEqual((await idsIn(view, group, 2)).sort(), ids, group);
      assert.equal(await view.records.count(group), ids.length, group);
    };
    await Promise.all(created.map(check));
  }),
  test('group/ids: an id without a group or a name is refused and stores nothing', async (kit) => {
    const view = await open(kit);
    for (const id of ['', '.', 'plain', '.name', 'group.', 'größe.1', 'g.größe', 'a b.1', 'g.a b', 'g.\n']) {
      await assertRefused(() => view.records.create(recordOf(id)), JSON.stringify(id));
      assert.equal(await view.records.read(id === '' ? 'plain' : id), undefined, JSON.stringify(id));
    }
    assert.deepEqual(await view.records.list(10), { records: [] });
    for (const group of ['', '.', 'a.', 'a.b', '.a', 'größe', 'a b']) {
      await assertRefused(() => view.records.count(group), `count of ${JSON.stringify(group)}`);
      await assertRefused(() => view.records.list(10, undefined, group), `list of ${JSON.stringify(group)}`);
    }
    const plain = await kit.openWith(['g.1']);
    await assertRefused(() => plain.records.count('g'), 'count where there are no groups');
    await assertRefused(() => plain.records.list(10, undefined, 'g'), 'list where there are no groups');
    await assertRefused(() => kit.open({ kind: 'letters', grouped: true, listed: false }), 'groups without a listing');
  }),
  test('group/cursors: a cursor of another group, or past the end, shows no record of another group', async (kit) => {
    const view = await open(kit);
    const groups = ['a', 'a-', 'b', 'c'];
    await Promise.all(groups.map(async (group) => createIn(view, group, 4)));
    const cursorOf = async (group?: string): Promise<string> => {
      const { nextCursor } = await view.records.list(2, undefined, group);
      assert.ok(nextCursor !== undefined);
      return nextCursor;
    };
    const check = async (cursor: string, group: string): Promise<void> => {
      const found = idsOf((await view.records.list(10, cursor, group)).records);
      assert.ok(
        found.every((id) => id.startsWith(`${group}.`)),
        `${found} is listed as ${group}`,
      );
      assert.equal(new Set(found).size, found.length);
    };
    const cursors = await Promise.all([undefined, ...groups].map(cursorOf));
    await Promise.all(cursors.flatMap((cursor) => groups.map(async (group) => check(cursor, group))));
    const { records, nextCursor } = await view.records.list(3, undefined, 'b');
    const all = idsOf(await allPages((cursor) => view.records.list(100, cursor)));
    assert.equal(all.length, groups.length * 4);
    await Promise.all(all.map(async (id) => view.records.end(id, FENCE, 'deleted')));
    assert.equal(records.length, 3);
    assert.deepEqual(await view.records.list(3, nextCursor, 'b'), { records: [] });
    for (const cursor of cursors) assert.deepEqual(await view.records.list(3, cursor, 'a'), { records: [] });
  }),
  test('group/apart: a group of the same name in another kind or deployment is another group', async (kit) => {
    const views = [
      await open(kit),
      await kit.open({ ...GROUPED, kind: 'letters' }),
      await kit.open({ ...GROUPED, deployment: 'b' }),
    ];
    for (const [n, view] of views.entries()) await createIn(view, 'g', n + 1, 'x');
    for (const [n, view] of views.entries()) {
      assert.deepEqual([await view.records.count('g'), (await idsIn(view, 'g', 2)).length], [n + 1, n + 1]);
    }
  }),
  test('group/race: creates and ends of many views at once leave the right count', async (kit) => {
    const views = [await open(kit), await open(kit), await open(kit)];
    const names = Array.from({ length: 30 }, (_, n) => `g.${n}`);
    const created = await Promise.all(
      views.flatMap(({ records }) => names.map(async (id) => records.create(recordOf(id)))),
    );
    assert.equal(created.filter((outcome) => outcome === 'created').length, 30);
    const ended = await Promise.all(
      views.flatMap(({ records }) => names.slice(10).map(async (id) => records.end(id, FENCE, 'deleted'))),
    );
    assert.equal(ended.filter((outcome) => outcome === 'ended').length, 20);
    for (const view of views) {
      await dueNow(view, 10);
      assert.equal(await view.records.count('g'), 10);
      assert.deepEqual((await idsIn(view, 'g', 3)).sort(), names.slice(0, 10).sort());
    }
  }),
  test('group/many: 1,000 records of a group are counted and listed, beside 1,000 others', async (kit) => {
    const view = await open(kit);
    for (let from = 0; from < 1_000; from += 50) {
      const ids = Array.from({ length: 50 }, (_, n) => [`many.${from + n}`, `g${from + n}.1`]).flat();
      await Promise.all(ids.map(async (id) => view.records.create(recordOf(id, { fields: {} }))));
    }
    assert.equal(await view.records.count('many'), 1_000);
    assert.equal(new Set(await idsIn(view, 'many', 333)).size, 1_000);
    assert.equal(await view.records.count('g7'), 1);
    assert.deepEqual(await idsIn(view, 'g7'), ['g7.1']);
  }),
];
