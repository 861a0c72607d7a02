/** Pages of `list` and `due`, and groups. What all pages together show, the model run compares. */
import assert from 'node:assert/strict';
import { allPages, idsOf } from '../view.ts';
import { test } from './store-case.ts';
import { FENCE, ME, recordOf } from './store-kit.ts';

const GROUPED = { kind: 'parcels', grouped: true } as const;

/** Refused as a mistake of the caller, and not as an outage. */
const assertRefused = (call: () => unknown, what: string): Promise<void> =>
  assert.rejects(async () => call(), { code: 'INTERNAL' }, what);

export const pageCases = [
  test('due/pages: pages name every due record while those of earlier pages end', async (kit) => {
    const view = await kit.open();
    const ids = Array.from({ length: 23 }, (_, n) => `r${n}`);
    for (const [n, id] of ids.entries()) await view.records.create(recordOf(id), n % 3 === 0 ? 0 : null, 0);
    await view.records.create(recordOf('later'), null, 3_600_000);
    await kit.pass(1);
    const named = await allPages(async (cursor) => {
      const page = await view.records.due(5, cursor);
      assert.ok(page.records.length <= 5);
      for (const { id, epoch } of page.records.slice(2))
        assert.equal(await view.records.end(id, { epoch, owner: ME }, ''), 'ended');
      return page;
    });
    assert.deepEqual([...new Set(idsOf(named))].sort(), [...ids].sort());
  }),
  test('list/cursors: a cursor shows what is behind it, also in another group, and when its record has ended', async (kit) => {
    const view = await kit.open(GROUPED);
    const { records } = view;
    const groups = ['a', 'a-', 'b', 'c'];
    const ids = groups.flatMap((group) => [0, 1, 2, 3].map((n) => `${group}.${n}`));
    await Promise.all(ids.map(async (id) => records.create(recordOf(id))));
    const order = idsOf((await records.list(100)).records);
    assert.deepEqual(order.toSorted(), ids.toSorted());
    const cursors = await Promise.all(
      [undefined, ...groups].map(async (group) => (await records.list(2, undefined, group)).nextCursor),
    );
    assert.ok(cursors.every((cursor) => cursor !== undefined));
    for (const cursor of cursors) {
      for (const group of groups) {
        const found = idsOf((await records.list(10, cursor, group)).records);
        assert.ok(found.every((id) => id.startsWith(`${group}.`)) && new Set(found).size === found.length, group);
      }
    }
    for (const id of order.slice(1, 3)) assert.equal(await records.end(id, FENCE, 'deleted'), 'ended');
    assert.deepEqual(idsOf((await records.list(2, cursors[0])).records), order.slice(3, 5));
    for (const id of order) await records.end(id, FENCE, 'deleted');
    for (const cursor of cursors) assert.deepEqual(await records.list(3, cursor, 'a'), { records: [] });
  }),
  test('group/ids: an id without a group or a name is refused and stores nothing', async (kit) => {
    const view = await kit.open(GROUPED);
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
];
