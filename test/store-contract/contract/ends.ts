import assert from 'node:assert/strict';
import { readEnded } from './ended.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest, needing } from './store-case.ts';
import { FENCE, OWNERLESS, recordOf, readLiving } from './store-kit.ts';
import type { View } from '../view.ts';

/** Its ends are kept for a while, and may be dropped before. */
const DROPPABLE = { kind: 'letters', listed: false, log: false, evicts: false, keepMs: 0 } as const;
const KEPT_MS = 60_000;

export const endCases = [
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
