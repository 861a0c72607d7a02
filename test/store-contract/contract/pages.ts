/** Groups of records. What all pages together show, the model run compares. */
import assert from 'node:assert/strict';
import { idsOf } from '../view.ts';
import { test } from './store-case.ts';
import { recordOf } from './store-kit.ts';

const GROUPED = { kind: 'parcels', grouped: true } as const;

/** Refused as a mistake of the caller, and not as an outage. */
const assertRefused = (call: () => unknown, what: string): Promise<void> =>
  assert.rejects(async () => call(), { code: 'INTERNAL' }, what);

export const pageCases = [
  test('list/cursors: a cursor of any record shows records of the group that was asked for alone', async (kit) => {
    const { records } = await kit.open(GROUPED);
    const groups = ['a', 'a-', 'b', 'c'];
    const ids = groups.flatMap((group) => [0, 1, 2].map((n) => `${group}.${n}`));
    for (const id of ids) await records.create(recordOf(id));
    for (const cursor of [undefined, ...ids, 'a.', 'a/', '~'])
      for (const group of groups) {
        const found = idsOf((await records.list(10, cursor, group)).records);
        assert.deepEqual(
          found,
          ids.filter((id) => id.startsWith(`${group}.`) && id > (cursor ?? '')),
        );
      }
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
  }),
];
