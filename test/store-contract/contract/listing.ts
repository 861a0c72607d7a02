import assert from 'node:assert/strict';
import { idsOf, type View } from '../view.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest } from './store-case.ts';
import { FENCE, recordOf } from './store-kit.ts';

/** Reads pages of these sizes in turn, until there is no cursor; `between` runs after each page. */
async function listIds(
  view: View,
  sizes: readonly number[],
  between: (page: number) => Promise<void> = async () => undefined,
): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 1_000; page++) {
    const limit = sizes[page % sizes.length] ?? 1;
    const { records, nextCursor } = await view.records.list(limit, cursor);
    assert.ok(records.length <= limit, `${records.length} records on a page of ${limit}`);
    ids.push(...idsOf(records));
    if (nextCursor === undefined) return ids;
    cursor = nextCursor;
    await between(page);
  }
  throw new Error('the listing never ends');
}

async function createMany(view: View, prefix: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => `${prefix}${n}`);
  await Promise.all(ids.map(async (id) => view.records.create(recordOf(id))));
  return ids;
}

export const listingCases = [
  test('list/pages: pages show every session once, in one order, whatever their sizes', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    const ids = await createMany(here, 's', 23);
    const order = await listIds(here, [1_000]);
    assert.deepEqual([...order].sort(), [...ids].sort());
    for (const sizes of [[1], [5], [23], [2, 7, 1]]) assert.deepEqual(await listIds(there, sizes), order);
  }),
  test('list/changes: a session that is there throughout is listed exactly once, whatever happens to others between pages', async (kit) => {
    const view = await kit.open();
    const staying = await createMany(view, 'stay', 20);
    const leaving = await createMany(view, 'leave', 20);
    const seen = await listIds(view, [3], async (page) => {
      const id = leaving[page];
      if (id !== undefined) await view.records.end(id, FENCE, 'deleted');
      await view.records.create(recordOf(`new${page}`, { owner: null }));
      await view.records.save(staying[page % staying.length] ?? '', FENCE, { stamp: page });
    });
    assert.equal(new Set(seen).size, seen.length, 'one was listed twice');
    assert.deepEqual(seen.filter((id) => id.startsWith('stay')).sort(), [...staying].sort());
  }),
  timedTest('list/living: ended and expired sessions are neither listed nor counted', async (kit) => {
    const view = await kit.open();
    const ids = await createMany(view, 's', 6);
    await view.records.end('s0', FENCE, 'deleted');
    await view.records.end('s3', FENCE, 'idle');
    await view.records.save('s5', FENCE, { expiresInMs: SHORT_MS });
    const left = ids.filter((id) => id !== 's0' && id !== 's3');
    assert.deepEqual((await listIds(view, [2])).sort(), left);
    assert.equal((await view.records.list(1_000)).records.length, 4);
    await kit.pass(PAST_SHORT_MS);
    assert.deepEqual((await listIds(view, [2])).sort(), ['s1', 's2', 's4']);
    assert.equal((await view.records.list(1_000)).records.length, 3);
  }),
  test('list/ended-cursor: a cursor still works after the session that it stopped at has ended', async (kit) => {
    const view = await kit.open();
    await createMany(view, 's', 4);
    const order = await listIds(view, [10]);
    const { nextCursor } = await view.records.list(2);
    await view.records.end(order[1] ?? '', FENCE, 'deleted');
    await view.records.end(order[2] ?? '', FENCE, 'deleted');
    const { records } = await view.records.list(2, nextCursor);
    assert.deepEqual(idsOf(records), order.slice(3));
  }),
];
