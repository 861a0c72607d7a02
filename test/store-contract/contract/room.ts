/** A kind with `evicts: false`: a store that bounds what it remembers refuses new records, and forgets none. */
import assert from 'node:assert/strict';
import type { CreateOutcome } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { readEnded } from './ended.ts';
import { needing, test } from './store-case.ts';
import { FENCE, readLiving, recordOf } from './store-kit.ts';

const KEPT_MS = 60_000;
const LASTING = { kind: 'parcels', evicts: false, listed: false, log: false, keepMs: 0 } as const;

const isFull = (error: { readonly code?: unknown }): boolean => error.code === 'STORE_FULL';

const create = async ({ records }: View, id: string, user: string | null, ms?: number): Promise<CreateOutcome> =>
  records.create(recordOf(id, { user, body: '{}', fields: {} }), ms);

/** How many records of a user the store takes. */
async function fill(view: View, user: string | null, name = user ?? 'none'): Promise<number> {
  for (let n = 0; n < 1_000; n++) {
    try {
      assert.equal(await create(view, `${name}-${n}`, user), 'created');
    } catch (error) {
      assert.ok(isFull(error as object), String(error));
      return n;
    }
  }
  throw new Error('nothing is refused');
}

export const roomCases = [
  test('room/kept: a kind that forgets nothing keeps each outcome for the time of its end', async (kit) => {
    const [here, there] = [await kit.open(LASTING), await kit.open(LASTING)];
    for (const n of [0, 1, 2, 3, 4, 5]) {
      assert.equal(await create(here, `s${n}`, `user ${n % 2}`), 'created');
      assert.equal(await here.records.end(`s${n}`, FENCE, `outcome ${n}`, KEPT_MS), 'ended');
    }
    for (const n of [0, 1, 2, 3, 4, 5]) assert.equal((await readEnded(there, `s${n}`)).outcome, `outcome ${n}`);
    assert.equal(await create(there, 's0', null), 'exists');
  }),
  ...needing('process-limits', [
    test('room/number: past its number of records a store refuses new ones, and forgets none that ended', async (kit) => {
      const view = await kit.open({ ...LASTING, tombstones: 8 });
      assert.equal(await fill(view, 'ada'), 8);
      await assert.rejects(async () => create(view, 'more', 'late'), isFull);
      assert.equal(await view.records.read('more'), undefined);
      for (const n of [0, 1, 2, 3]) {
        assert.equal(await view.records.end(`ada-${n}`, FENCE, 'done', KEPT_MS), 'ended');
        assert.equal((await readEnded(view, `ada-${n}`)).outcome, 'done');
      }
      await assert.rejects(async () => create(view, 'more', 'late'), isFull);
      assert.equal((await readEnded(view, 'ada-0')).outcome, 'done');
      assert.equal(await create(view, 'ada-0', 'late'), 'exists');
    }),
    test('room/bytes: an outcome without room is refused, its record lives on and takes a short one', async (kit) => {
      const view = await kit.open({ ...LASTING, eventLogBytes: 100_000 });
      for (const id of ['a', 'b', 'c', 'd']) await create(view, id, 'eve');
      for (const id of ['a', 'b'])
        assert.equal(await view.records.end(id, FENCE, 'x'.repeat(40_000), KEPT_MS), 'ended');
      await assert.rejects(async () => view.records.end('c', FENCE, 'y'.repeat(40_000), KEPT_MS), isFull);
      assert.equal((await readLiving(view, 'c')).epoch, 1);
      assert.equal(await view.records.end('c', FENCE, 'z'.repeat(1_024), KEPT_MS), 'ended');
      assert.equal(await view.records.end('d', FENCE, 'w'.repeat(18_500), KEPT_MS), 'ended');
      assert.equal((await readEnded(view, 'a')).outcome.length, 40_000);
      assert.equal(await fill(view, 'ada', 'more'), 0);
    }),
    test('room/log: events without room are refused, none is dropped, and the stream has no gap', async (kit) => {
      const log = { ttlMs: KEPT_MS, events: 100, bytes: 1_000_000 };
      const view = await kit.open({ ...LASTING, log, eventLogBytes: 100_000 });
      for (const id of ['a', 'b']) await create(view, id, 'eve');
      const append = async (id: string, from: number, bytes: number) =>
        view.records.append({ id, fence: FENCE, stream: 's', from, events: [`"${'x'.repeat(bytes)}"`] });
      assert.equal(await append('a', 0, 60_000), 'written');
      await assert.rejects(() => append('a', 1, 60_000), isFull);
      await assert.rejects(() => append('b', 0, 60_000), isFull);
      const kept = await view.records.replay('a', 's', -1);
      assert.deepEqual(kept.found && [kept.next, kept.complete], [1, false]);
      assert.equal(await append('a', 1, 100), 'written');
      const found = await view.records.replay('a', 's', -1);
      assert.deepEqual(found.found && found.events.map(({ data }) => data.length), [60_002, 102]);
      assert.equal(await view.records.end('a', FENCE, 'done', KEPT_MS), 'ended');
      assert.equal(await append('b', 0, 60_000), 'written');
    }),
    test('room/back: room comes back when a keep time is over, whatever ended before and is kept longer', async (kit) => {
      const view = await kit.open({ ...LASTING, tombstones: 2 });
      assert.equal(await fill(view, 'ada'), 2);
      assert.equal(await view.records.end('ada-0', FENCE, 'long', 10 * KEPT_MS), 'ended');
      assert.equal(await view.records.end('ada-1', FENCE, 'short', KEPT_MS), 'ended');
      await assert.rejects(async () => create(view, 'next', 'ada'), isFull);
      await kit.pass(KEPT_MS + 1);
      assert.equal(await create(view, 'next', 'ada'), 'created');
      await assert.rejects(async () => create(view, 'next-2', 'ada'), isFull);
      assert.equal((await readEnded(view, 'ada-0')).outcome, 'long');
    }),
    test('room/dropped: a record that is dropped gives its room back at once', async (kit) => {
      const view = await kit.open({ ...LASTING, tombstones: 2 });
      assert.equal(await fill(view, 'ada'), 2);
      for (const n of [0, 1]) assert.equal(await view.records.end(`ada-${n}`, FENCE, 'done', KEPT_MS), 'ended');
      await assert.rejects(async () => create(view, 'next', 'ada'), isFull);
      assert.equal(await view.records.drop('ada-0', (await readEnded(view, 'ada-0')).at), 'dropped');
      assert.equal(await create(view, 'ada-0', 'ada'), 'created');
      await assert.rejects(async () => create(view, 'next', 'ada'), isFull);
      assert.equal((await readEnded(view, 'ada-1')).outcome, 'done');
    }),
    test('room/expired: a record that expires without an end gives its room back with the next trim', async (kit) => {
      const view = await kit.open({ ...LASTING, tombstones: 2 });
      for (const id of ['a', 'z']) assert.equal(await create(view, id, 'ada', KEPT_MS), 'created');
      await assert.rejects(async () => create(view, 'b', 'ada'), isFull);
      await kit.pass(KEPT_MS + 1);
      await view.records.trim();
      assert.equal(await create(view, 'b', 'ada', KEPT_MS), 'created');
      await kit.pass(KEPT_MS + 1);
      // The record that shows no more is replaced.
      assert.equal(await create(view, 'b', 'bob'), 'created');
    }),
  ]),
];
