import assert from 'node:assert/strict';
import { openStreams, type View } from '../view.ts';
import { test, type StoreCase } from './store-case.ts';
import { FENCE, ME, OTHER, OWNERLESS, announce, recordOf, sortedBy, NEXT, ANEW, claimed, append } from './store-kit.ts';
import { OWNER_WRITES, type OwnerWrite } from './writes.ts';

const NOT_MINE = [
  { name: 'a smaller epoch', epoch: 2, owner: ME },
  { name: 'a larger epoch (the store lost data)', epoch: 4, owner: ME },
  { name: 'another owner', epoch: 3, owner: OTHER },
  { name: 'another owner at an older epoch', epoch: 2, owner: OTHER },
];

/** Claims a session of {@link ME} for {@link OTHER}, which is then alive. */
async function takeOver(view: View, id: string): Promise<void> {
  await announce(view, OTHER);
  claimed(await view.records.claim(id, FENCE, OTHER));
}

const writeCases = ({ name, run, onNothing }: OwnerWrite): readonly StoreCase[] => [
  test(`fence/${name}: ${name} is refused unless epoch and owner are the stored ones, and changes nothing`, async (kit) => {
    const view = await kit.openWith([recordOf('s', { epoch: 3 })]);
    for (const { name: what, ...fence } of NOT_MINE) assert.equal(await run(view, 's', fence), 'fenced', what);
    assert.deepEqual(await view.records.read('s'), recordOf('s', { epoch: 3 }));
    assert.deepEqual(await openStreams(view, 's'), []);
    assert.deepEqual(claimed(await view.records.claim('s', { epoch: 3, owner: ME }, ME)).marks, []);
  }),
  test(`upsert/${name}: ${name} on a missing record creates nothing`, async (kit) => {
    const view = await kit.open();
    assert.equal(await run(view, 'never', FENCE), onNothing);
    assert.equal(await view.records.read('never'), undefined);
    assert.equal((await view.records.list(1_000)).records.length, 0);
    assert.equal(await view.records.create(recordOf('never')), 'created');
    assert.deepEqual(await openStreams(view, 'never'), []);
  }),
  test(`fence/${name}-after-claim: ${name} of an earlier owner is refused from the claim on`, async (kit) => {
    const [old, next] = await kit.openTwoWith(['s']);
    await takeOver(next, 's');
    assert.equal(await run(old, 's', FENCE), 'fenced');
    assert.deepEqual(await next.records.read('s'), recordOf('s', NEXT));
  }),
];

const claimCases = [
  test('fence/after-release: an owner that released its session writes no more', async (kit) => {
    const view = await kit.openWith(['s']);
    await view.records.save('s', FENCE, { release: true });
    for (const write of OWNER_WRITES) assert.equal(await write.run(view, 's', FENCE), 'fenced', write.name);
    assert.deepEqual(await view.records.read('s'), recordOf('s', { owner: null }));
  }),
  test('claim/ownerless: a claim of a released session makes an owner, raises the epoch and returns the record as it is', async (kit) => {
    const [old, next] = await kit.openTwoWith(['s']);
    await old.records.save('s', FENCE, { release: true, fields: { late: '1' } });
    const { record, marks } = claimed(await next.records.claim('s', OWNERLESS, OTHER));
    assert.deepEqual(record, {
      ...recordOf('s', NEXT),
      fields: { ...recordOf('s').fields, late: '1' },
    });
    assert.deepEqual(marks, []);
    assert.deepEqual(await old.records.read('s'), record);
    assert.equal(await next.records.save('s', NEXT, { head: 'debug' }), 'written');
  }),
  test('claim/owner: a claim that names the stored owner succeeds, whether that owner has a lease or not', async (kit) => {
    const view = await kit.openAs(ME);
    const owners = { alive: ME, never: 'never-announced', ownerless: null };
    for (const [id, owner] of Object.entries(owners)) {
      await view.records.create(recordOf(id, { owner }));
      const { record } = claimed(await view.records.claim(id, { epoch: 1, owner }, 'third'));
      assert.deepEqual(record, recordOf(id, { epoch: 2, owner: 'third' }));
    }
  }),
  test('claim/another-owner: a claim that names another owner than the stored one is refused; the caller gets the stored record', async (kit) => {
    const [owner, other] = [await kit.open(), await kit.openAs(OTHER)];
    const owners = { owned: ME, dead: 'dead', ownerless: null };
    for (const [id, stored] of Object.entries(owners)) {
      const record = recordOf(id, { owner: stored });
      await owner.records.create(record);
      for (const seen of [...Object.values(owners), OTHER]) {
        if (seen === stored) continue;
        const outcome = await other.records.claim(id, { epoch: 1, owner: seen }, OTHER);
        assert.deepEqual(outcome, { claimed: false, current: record }, `${id}: ${seen}`);
      }
      assert.deepEqual(await other.records.read(id), record);
    }
  }),
  test('claim/after-release: a claim from an owner that has released the session since is refused, and one from no owner succeeds', async (kit) => {
    const [owner, other] = await kit.openTwoWith(['s']);
    await owner.records.save('s', FENCE, { release: true });
    assert.deepEqual(await other.records.claim('s', FENCE, OTHER), {
      claimed: false,
      current: recordOf('s', { owner: null }),
    });
    claimed(await other.records.claim('s', OWNERLESS, OTHER));
  }),
  test('claim/wrong-epoch: a claim with another epoch than the stored one is refused, for any owner', async (kit) => {
    const view = await kit.openWith([recordOf('free', { epoch: 3, owner: null })]);
    await view.records.create(recordOf('mine', { epoch: 3 }));
    for (const epoch of [0, 2, 4]) {
      const free = { claimed: false, current: recordOf('free', { epoch: 3, owner: null }) };
      assert.deepEqual(await view.records.claim('free', { epoch, owner: null }, ME), free);
    }
    for (const epoch of [1, 4]) {
      const mine = { claimed: false, current: recordOf('mine', { epoch: 3 }) };
      assert.deepEqual(await view.records.claim('mine', { epoch, owner: ME }, ME), mine);
    }
  }),
  test('claim/lost-reply: a claim whose reply was lost is claimed again without raising the epoch, by its winner alone', async (kit) => {
    const view = await kit.openAs(ME);
    await view.records.create(recordOf('s', { owner: null }));
    claimed(await view.records.claim('s', OWNERLESS, ME));
    for (let again = 0; again < 2; again++) {
      assert.deepEqual(claimed(await view.records.claim('s', OWNERLESS, ME)).record, recordOf('s', { epoch: 2 }));
    }
    assert.deepEqual(await view.records.claim('s', OWNERLESS, OTHER), {
      claimed: false,
      current: recordOf('s', { epoch: 2 }),
    });
  }),
  test('claim/own: an owner claims its own session anew: the epoch rises', async (kit) => {
    const view = await kit.openAs(ME);
    await view.records.create(recordOf('s'));
    assert.deepEqual(claimed(await view.records.claim('s', FENCE, ME)).record, recordOf('s', { epoch: 2 }));
    assert.equal(await view.records.save('s', FENCE, {}), 'fenced');
  }),
  test('claim/nothing: a claim of a missing session says that there is no record, and creates nothing', async (kit) => {
    const view = await kit.open();
    assert.deepEqual(await view.records.claim('never', FENCE, ME), { claimed: false, current: undefined });
    assert.equal(await view.records.read('never'), undefined);
  }),
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
  test('marker/travels: markers travel with every claim until they are cleared', async (kit) => {
    const [old, next] = await kit.openTwoWith(['s']);
    const number = { name: '1', stream: 'p1' };
    const string = { name: '"1"', stream: 'p2' };
    for (const marker of [number, string])
      assert.equal(await old.records.append({ id: 's', fence: FENCE, stream: null, mark: marker }), 'written');
    const first = claimed(await next.records.claim('s', FENCE, OTHER));
    assert.deepEqual(sortedBy('name', first.marks), [string, number]);
    assert.equal(await next.records.append({ id: 's', fence: NEXT, stream: null, unmark: number }), 'written');
    assert.equal(await next.records.save('s', NEXT, { release: true }), 'written');
    assert.deepEqual(claimed(await old.records.claim('s', { epoch: 2, owner: null }, ME)).marks, [string]);
  }),
  test('marker/idempotent: a marker written twice is one, cleared once it is gone, and cleared again is nothing', async (kit) => {
    const view = await kit.openWith(['s']);
    const marker = { name: '7', stream: 'p1' };
    for (let n = 0; n < 2; n++)
      assert.equal(await view.records.append({ id: 's', fence: FENCE, stream: null, mark: marker }), 'written');
    assert.deepEqual(claimed(await view.records.claim('s', FENCE, ME)).marks, [marker]);
    for (let n = 0; n < 2; n++)
      assert.equal(await view.records.append({ id: 's', fence: ANEW, stream: null, unmark: marker }), 'written');
    assert.deepEqual(claimed(await view.records.claim('s', ANEW, ME)).marks, []);
  }),
  test('marker/apart: a marker changes no member of the record', async (kit) => {
    const view = await kit.openWith(['s']);
    await view.records.append({ id: 's', fence: FENCE, stream: null, mark: { name: '1', stream: 'p1' } });
    assert.deepEqual(await view.records.read('s'), recordOf('s'));
  }),
];

export const ownershipCases = [...OWNER_WRITES.flatMap(writeCases), ...claimCases];
