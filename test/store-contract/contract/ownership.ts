import assert from 'node:assert/strict';
import { test } from './store-case.ts';
import { FENCE, OTHER, announce, recordOf, claimed, append } from './store-kit.ts';

export const ownershipCases = [
  test('claim/race: of concurrent claims exactly one wins', async (kit) => {
    const views = [await kit.open(), await kit.open(), await kit.open()];
    const claimers = views.flatMap((view, v) => [0, 1, 2].map((n) => ({ view, me: `claimer-${v}-${n}` })));
    for (const { view, me } of claimers) await announce(view, me);
    for (const id of ['free', 'orphaned']) {
      const from = { epoch: 1, owner: id === 'free' ? null : 'dead' };
      await views[0]?.records.create(recordOf(id, from));
      const outcomes = await Promise.all(
        claimers.map(async ({ view, me }) => ({ me, won: (await view.records.claim(id, from, me)).claimed })),
      );
      const winners = outcomes.filter(({ won }) => won);
      assert.equal(winners.length, 1, id);
      const owner = winners[0]?.me ?? null;
      assert.deepEqual(await views[1]?.records.read(id), recordOf(id, { epoch: 2, owner }));
    }
  }),
  test('claim/race-with-append: an append that races a claim is in the log when it was written, and not when it was fenced', async (kit) => {
    const [old, next] = [await kit.open(), await kit.open()];
    for (let n = 0; n < 20; n++) {
      const id = `s${n}`;
      await old.records.create(recordOf(id));
      const [outcome, claim] = await Promise.all([
        append(old, 'p', 0, ['{"late":1}'], { id }),
        next.records.claim(id, FENCE, OTHER),
      ]);
      claimed(claim);
      const found = (await next.records.replay(id, 'p', -1)).found;
      assert.equal(found, outcome === 'written');
    }
  }),
];
