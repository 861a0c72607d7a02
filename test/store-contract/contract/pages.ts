/** Groups of records. What all pages together show, the model run compares. */
import assert from 'node:assert/strict';
import { idsOf } from '../view.ts';
import { test } from './store-case.ts';
import { recordOf } from './store-kit.ts';

const GROUPED = { kind: 'parcels', grouped: true } as const;

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
];
