/**
 * What one operation after the other does, the model runs compare (`stores/model-runs.ts`). These cases are about
 * calls at the same time, about clocks, and about what is refused.
 */
import assert from 'node:assert/strict';
import { type ClaimOutcome, isEnded, type Records } from '../../../src/stores/store.ts';
import { idsOf, openStreams, type View } from './view.ts';
import {
  ANEW,
  append,
  claimed,
  FENCE,
  ME,
  OTHER,
  OWNERLESS,
  PAST_SHORT_MS,
  SHORT_MS,
  test,
} from './store-kit.ts';
import { readEnded, readLiving, recordOf, type StoreKit, type ViewOptions } from './store-kit.ts';

const GROUPED = { kind: 'parcels', grouped: true } as const;
const UNLISTED = { kind: 'letters', listed: false, log: false, keepMs: SHORT_MS } as const;

const openThree = async (
  kit: StoreKit,
  options?: ViewOptions,
): Promise<readonly [View, View, View]> => [
  await kit.open(options),
  await kit.open(options),
  await kit.open(options),
];

/** Three callers on each of the views. */
const callersOn = (views: readonly View[]) =>
  views.flatMap((view, v) => [0, 1, 2].map((n) => ({ view, me: `caller-${v}-${n}` })));

/** No operation brings the session back. */
async function assertStaysEnded(view: View, id: string): Promise<void> {
  const before = await readEnded(view, id);
  assert.equal(await view.records.create(recordOf(id)), 'exists');
  assert.deepEqual(await view.records.claim(id, FENCE, ME), { claimed: false, current: before });
  assert.equal(await view.records.save(id, FENCE, { head: 'debug' }), 'fenced');
  assert.equal(await view.records.save(id, FENCE, { release: true }), 'fenced');
  assert.equal(
    await view.records.append({ id, fence: FENCE, stream: 'p', from: 0, events: ['{}'] }),
    'fenced',
  );
  assert.deepEqual(await readEnded(view, id), before);
}

export const recordCases = [
  test('race/one-wins: of concurrent creates, claims and ends of one record exactly one takes effect, and what it stored stays', async (kit) => {
    const views = await openThree(kit);
    const callers = callersOn(views);
    /** The callers that won, when all call at once. */
    const winners = async (
      call: (records: Records, me: string) => unknown,
      won: (answer: unknown) => boolean,
    ) => {
      const answers = await Promise.all(
        callers.map(async ({ view, me }) => ({ me, won: won(await call(view.records, me)) })),
      );
      return answers.filter((one) => one.won).map(({ me }) => me);
    };
    await views[0].records.create(recordOf('shared', { owner: null, stamp: 1 }));
    const saved = await winners(
      (records, me) => records.save('shared', { ...OWNERLESS, atStamp: 1 }, { head: me, stamp: 2 }),
      (answer) => answer === 'written',
    );
    assert.deepEqual([saved.length, (await readLiving(views[1], 'shared')).head], [1, saved[0]]);
    for (let n = 0; n < 3; n++) {
      const id = `s${n}`;
      const owner = n === 0 ? null : ME;
      const [user, ...others] = await winners(
        (records, me) => records.create(recordOf(id, { user: me, owner })),
        (answer) => answer === 'created',
      );
      assert.deepEqual(await views[0].records.read(id), recordOf(id, { user: user ?? '', owner }));
      const [me, ...more] = await winners(
        (records, by) => records.claim(id, { epoch: 1, owner }, by),
        (answer) => (answer as ClaimOutcome).claimed,
      );
      assert.deepEqual(
        await views[1].records.read(id),
        recordOf(id, { user: user ?? '', epoch: 2, owner: me ?? '' }),
      );
      const [reason, ...rest] = await winners(
        (records, by) => records.end(id, { epoch: 2, owner: me ?? '' }, by),
        (answer) => answer === 'ended',
      );
      for (const view of views) assert.equal((await readEnded(view, id)).outcome, reason);
      assert.deepEqual([...others, ...more, ...rest], []);
    }
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
    for (const name of names)
      assert.deepEqual([fields[name], fields[`o${name}`]], ['added', '1'], name);
  }),
  test('expiry/moved-elsewhere: an append is refused past the expiry that another view of its owner has set', async (kit) => {
    const [here, there] = await kit.openTwoWith(['s']);
    assert.equal(await append(here, 'p', 0, ['1']), 'written');
    assert.equal(await there.records.save('s', FENCE, { expiresInMs: SHORT_MS }), 'written');
    await kit.pass(PAST_SHORT_MS);
    assert.equal(await append(here, 'p', 1, ['2']), 'fenced');
  }),
  test('kind/unlisted: a record that is not listed expires as any other, and goes without an end', async (kit) => {
    const [here, there] = [await kit.open(UNLISTED), await kit.open(UNLISTED)];
    await here.records.create(recordOf('a', { owner: null }), 600_000);
    claimed(await there.records.claim('a', OWNERLESS, ME));
    assert.equal(await there.records.end('a', ANEW, 'answer', 600_000), 'ended');
    await here.records.create(recordOf('b'), 1);
    await kit.pass(SHORT_MS / 2);
    assert.equal((await readEnded(there, 'b')).outcome, '');
    await kit.pass(PAST_SHORT_MS);
    await here.records.trim();
    assert.equal(await there.records.read('b'), undefined);
    assert.equal(await there.records.create(recordOf('b')), 'created');
    assert.equal((await readEnded(here, 'a')).outcome, 'answer');
  }),
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

/** Where several processes share the records. */
export const sharedRecordCases = [
  test('expiry/stored: a session that a read or a claim reported as expired has ended for good, also when the clock is set back', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    const ids = ['read', 'claimed'];
    for (const id of ids) {
      await here.records.create(recordOf(id), SHORT_MS);
      assert.equal(await append(here, 'p', 0, ['{}'], { id, complete: true }), 'written');
    }
    await here.records.create(recordOf('unread'), SHORT_MS);
    await kit.pass(PAST_SHORT_MS);
    assert.equal((await readEnded(there, 'read')).outcome, '');
    const claim = await there.records.claim('claimed', FENCE, OTHER);
    assert.ok(!claim.claimed && claim.current !== undefined && isEnded(claim.current));
    await kit.pass(-PAST_SHORT_MS);
    for (const id of ids) {
      assert.equal((await readEnded(here, id)).outcome, '', id);
      await assertStaysEnded(here, id);
      assert.deepEqual(await openStreams(here, id), []);
      assert.deepEqual(await here.records.replay(id, 'p', -1), { found: false, why: 'unknown' });
    }
    // No call reported this one as expired: by the clock it has not ended.
    assert.equal(await here.records.save('unread', FENCE, { head: 'debug' }), 'written');
    assert.deepEqual(idsOf((await here.records.list(10)).records), ['unread']);
    for (const id of ids) {
      assert.equal(await here.records.end(id, FENCE, 'terminated'), 'ended', id);
      assert.equal(await here.records.end(id, FENCE, 'terminated'), 'gone', id);
      assert.equal((await readEnded(here, id)).outcome, '', id);
    }
  }),
];
