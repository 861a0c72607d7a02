import assert from 'node:assert/strict';
import { assertNear, assertStaysEnded, readEnded } from './ended.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest, needing } from './store-case.ts';
import { FENCE, ME, OTHER, OWNERLESS, recordOf, claimed, append, readLiving } from './store-kit.ts';
import { openStreams, type View } from '../view.ts';

const REASONS = ['deleted', 'idle', 'idle_limit', 'terminated', 'server_closed', 'handler_returned', 'endpoint_closed'];

/** Its ends are kept for a while, and may be dropped before. */
const DROPPABLE = { kind: 'letters', listed: false, log: false, evicts: false, keepMs: 0 } as const;
const KEPT_MS = 60_000;

export const endCases = [
  test('end/by-owner: an owner ends its session: the tombstone says why and when, and holds no secret', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    for (const reason of REASONS) {
      await here.records.create(recordOf(reason));
      assert.equal(await here.records.end(reason, FENCE, reason), 'ended');
      const ended = await readEnded(there, reason);
      assertNear(ended.at, kit.now(), reason);
      assert.deepEqual(ended, { id: reason, outcome: reason, at: ended.at });
    }
  }),
  test('end/compare-and-set: a session ends only for a caller that names its epoch and its owner, or that it has none', async (kit) => {
    const [owner, other] = [await kit.openAs(ME), await kit.open()];
    const owners = { owned: ME, dead: 'dead', ownerless: null };
    for (const [id, stored] of Object.entries(owners)) {
      await owner.records.create(recordOf(id, { epoch: 2, owner: stored }));
      for (const epoch of [1, 2, 3]) {
        for (const name of [...Object.values(owners), OTHER]) {
          if (epoch === 2 && name === stored) continue;
          const outcome = await other.records.end(id, { epoch, owner: name }, 'terminated');
          assert.equal(outcome, 'fenced', `${id}: ${epoch} ${name}`);
        }
      }
      assert.deepEqual(await owner.records.read(id), recordOf(id, { epoch: 2, owner: stored }));
      // Whether the owner lives is the caller's matter: this caller has found that it does not.
      assert.equal(await other.records.end(id, { epoch: 2, owner: stored }, 'terminated'), 'ended', id);
      assert.equal((await readEnded(owner, id)).outcome, 'terminated', id);
    }
  }),
  test('end/stamp: an end that names a stamp is refused after a save of another', async (kit) => {
    const [owner, other] = [await kit.openWith(['s']), await kit.open()];
    const { stamp: atStamp } = recordOf('s');
    assert.equal(await owner.records.save('s', FENCE, { stamp: atStamp + 1 }), 'written');
    assert.equal(await other.records.end('s', { ...FENCE, atStamp }, 'terminated'), 'fenced');
    assert.deepEqual(await owner.records.read('s'), recordOf('s', { stamp: atStamp + 1 }));
    assert.equal(await other.records.end('s', { ...FENCE, atStamp: atStamp + 1 }, 'terminated'), 'ended');
    assert.equal(await other.records.end('s', { ...FENCE, atStamp: atStamp + 1 }, 'terminated'), 'gone');
    assert.equal((await readEnded(owner, 's')).outcome, 'terminated');
  }),
  test('end/once: a session ends once: later ends find it gone, and the first reason stays', async (kit) => {
    const view = await kit.openWith(['s']);
    assert.equal(await view.records.end('s', FENCE, 'deleted'), 'ended');
    const before = await readEnded(view, 's');
    assert.equal(await view.records.end('s', FENCE, 'terminated'), 'gone');
    assert.equal(await view.records.end('s', OWNERLESS, 'idle'), 'gone');
    assert.deepEqual(await readEnded(view, 's'), before);
    assert.equal(await view.records.end('never', OWNERLESS, 'idle'), 'gone');
  }),
  test('end/dropped: what ended at the named time is forgotten at once, for every view, and no other end is', async (kit) => {
    const [here, there] = [await kit.open(DROPPABLE), await kit.open(DROPPABLE)];
    for (const outcome of ['', 'short', 'x'.repeat(600_000)]) {
      const id = `s${outcome.length}`;
      assert.equal(await here.records.create(recordOf(id)), 'created');
      assert.equal(await there.records.drop(id, 0), 'gone', 'it lives');
      assert.equal(await here.records.end(id, FENCE, outcome, KEPT_MS), 'ended');
      const { at } = await readEnded(there, id);
      for (const other of [at - 1, at + 1, 0]) assert.equal(await there.records.drop(id, other), 'gone');
      assert.equal((await readEnded(here, id)).outcome, outcome);
      assert.equal(await here.records.create(recordOf(id)), 'exists');
      assert.equal(await there.records.drop(id, at), 'dropped');
      assert.equal(await here.records.read(id), undefined);
      assert.equal(await there.records.drop(id, at), 'gone');
      assert.equal(await here.records.end(id, FENCE, 'late'), 'gone');
      assert.equal(await here.records.save(id, FENCE, { head: 'late' }), 'fenced');
      assert.deepEqual(await here.records.claim(id, FENCE, ME), { claimed: false, current: undefined });
      assert.equal(await here.records.create(recordOf(id, { head: 'second' })), 'created');
      assert.equal(await there.records.drop(id, at), 'gone', 'it lives again');
      assert.equal((await readLiving(there, id)).head, 'second');
      assert.equal(await here.records.end(id, FENCE, 'second', KEPT_MS), 'ended');
      assert.equal((await readEnded(there, id)).outcome, 'second');
    }
    assert.equal(await here.records.drop('never', 0), 'gone');
  }),
  test('end/dropped-race: of concurrent drops one takes effect, and of the creations that follow one too', async (kit) => {
    const views = [await kit.open(DROPPABLE), await kit.open(DROPPABLE), await kit.open(DROPPABLE)];
    await views[0]?.records.create(recordOf('s'));
    await views[0]?.records.end('s', FENCE, 'first', KEPT_MS);
    const { at } = await readEnded(views[0] as View, 's');
    const both = views.map(async ({ records }) => [await records.drop('s', at), await records.create(recordOf('s'))]);
    const outcomes = (await Promise.all(both)).flat();
    assert.equal(outcomes.filter((one) => one === 'dropped').length, 1, String(outcomes));
    assert.ok(outcomes.filter((one) => one === 'created').length <= 1, String(outcomes));
    await views[1]?.records.create(recordOf('s'));
    await readLiving(views[2] as View, 's');
  }),
  test('end/dropped-listed: a record of a listed kind is not dropped', async (kit) => {
    const view = await kit.openWith(['s']);
    assert.equal(await view.records.end('s', FENCE, 'deleted'), 'ended');
    const { at } = await readEnded(view, 's');
    await assert.rejects(async () => view.records.drop('s', at), { code: 'INTERNAL' });
    assert.equal((await readEnded(view, 's')).outcome, 'deleted');
  }),
  test('end/race: of concurrent ends exactly one ends it, and its reason stays', async (kit) => {
    const views = [await kit.open(), await kit.open(), await kit.open()];
    await views[0]?.records.create(recordOf('s', { owner: null }));
    const reasons = ['deleted', 'terminated', 'idle_limit'] as const;
    const outcomes = await Promise.all(
      views.map(async (view, n) => ({ outcome: await view.records.end('s', OWNERLESS, reasons[n] ?? ''), n })),
    );
    const ended = outcomes.filter(({ outcome }) => outcome === 'ended');
    assert.equal(ended.length, 1);
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'gone').length, 2);
    for (const view of views) assert.equal((await readEnded(view, 's')).outcome, reasons[ended[0]?.n ?? 0]);
  }),
  test('end/stays: nothing brings an ended session back', async (kit) => {
    const view = await kit.openWith(['s']);
    await view.records.end('s', FENCE, 'deleted');
    await assertStaysEnded(view, 's');
  }),
  timedTest('end/drops: the log and the markers of an ended session go at once', async (kit) => {
    const view = await kit.openWith(['s'], { keepMs: SHORT_MS });
    await append(view, 'p', 0, ['', '{"secret":1}']);
    await view.records.append({ id: 's', fence: FENCE, stream: null, mark: { name: '1', stream: 'p' } });
    await view.records.end('s', FENCE, 'deleted');
    assert.deepEqual(await view.records.replay('s', 'p', -1), { found: false, why: 'unknown' });
    assert.deepEqual(await openStreams(view, 's'), []);
    // After the tombstone time a new session under the same id finds nothing of the old one.
    await kit.pass(PAST_SHORT_MS);
    assert.equal(await view.records.create(recordOf('s', { owner: null })), 'created');
    assert.deepEqual(await view.records.replay('s', 'p', -1), { found: false, why: 'unknown' });
    assert.deepEqual(claimed(await view.records.claim('s', OWNERLESS, ME)).marks, []);
  }),
  timedTest('tombstone/goes: an ended session is remembered for keepMs and then unknown', async (kit) => {
    const view = await kit.openWith(['s'], { keepMs: SHORT_MS });
    await view.records.end('s', FENCE, 'deleted');
    assert.equal((await readEnded(view, 's')).outcome, 'deleted');
    await kit.pass(PAST_SHORT_MS);
    assert.equal(await view.records.read('s'), undefined);
    assert.deepEqual(await view.records.claim('s', FENCE, ME), { claimed: false, current: undefined });
    assert.equal(await view.records.create(recordOf('s', { user: 'new' })), 'created');
    assert.deepEqual(await view.records.read('s'), recordOf('s', { user: 'new' }));
  }),
  timedTest('end/outcome: an outcome of any size is kept as it is, for as long as its end says', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    const outcomes = { empty: '', text: '["Größe 尺寸 🧪"]\n{"a":1}', large: JSON.stringify('x'.repeat(3_000_000)) };
    for (const [id, outcome] of Object.entries(outcomes)) {
      await here.records.create(recordOf(id));
      assert.equal(await here.records.end(id, FENCE, outcome, 600_000), 'ended');
      assert.equal((await readEnded(there, id)).outcome, outcome, id);
    }
    await here.records.create(recordOf('short'));
    await here.records.end('short', FENCE, 'answer', SHORT_MS);
    await kit.pass(PAST_SHORT_MS);
    assert.equal(await there.records.read('short'), undefined);
    assert.equal(await there.records.create(recordOf('short')), 'created');
    assert.equal((await readEnded(there, 'large')).outcome, outcomes.large);
  }),
  ...needing('process-limits', [
    test('tombstone/limit: past its limit a process forgets the sessions that ended first', async (kit) => {
      const view = await kit.open({ tombstones: 3 });
      for (let n = 0; n < 5; n++) {
        await view.records.create(recordOf(`s${n}`));
        await view.records.end(`s${n}`, FENCE, 'deleted');
      }
      const remembered = await Promise.all(
        [0, 1, 2, 3, 4].map(async (n) => (await view.records.read(`s${n}`)) !== undefined),
      );
      assert.deepEqual(remembered, [false, false, true, true, true]);
    }),
  ]),
];
