import assert from 'node:assert/strict';
import { isEnded, type DueRecord, type StoredRecord } from '../../../src/stores/store.ts';
import { dueNow, idsOf, openStreams, type View } from '../view.ts';
import { assertNear, CLOCK_SLACK_MS, assertStaysEnded, readEnded } from './ended.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest, needing } from './store-case.ts';
import { FENCE, ME, OTHER, OWNERLESS, readLiving, recordOf, sortedBy, claimed, append } from './store-kit.ts';
import { OWNER_WRITES } from './writes.ts';

/** A session that expires soon. */
async function createExpiring(view: View, id: string, more?: Partial<StoredRecord>): Promise<void> {
  await view.records.create(recordOf(id, more), SHORT_MS);
}

export const expiryCases = [
  timedTest(
    'expiry/ends: past its expiry a session has ended without an outcome, also one with a living owner, and nothing brings it back',
    async (kit) => {
      const view = await kit.openAs(ME);
      for (const [id, owner] of Object.entries({ owned: ME, orphaned: 'dead', ownerless: null })) {
        await createExpiring(view, id, { owner });
      }
      await append(view, 'p', 0, ['{}'], { id: 'owned' });
      await view.records.append({ id: 'owned', fence: FENCE, stream: null, mark: { name: '1', stream: 'p' } });
      for (const id of ['owned', 'orphaned', 'ownerless']) await readLiving(view, id);
      await kit.pass(PAST_SHORT_MS);
      for (const id of ['owned', 'orphaned', 'ownerless']) {
        const ended = await readEnded(view, id);
        assert.deepEqual(ended, { id, outcome: '', at: ended.at });
        assert.ok(Math.abs(ended.at - kit.now()) < CLOCK_SLACK_MS + PAST_SHORT_MS);
        await assertStaysEnded(view, id);
      }
      assert.deepEqual(await view.records.replay('owned', 'p', -1), { found: false, why: 'unknown' });
      assert.deepEqual(await openStreams(view, 'owned'), []);
    },
  ),
  timedTest(
    'expiry/unread: an expired session that was never read refuses every write, a create and a claim',
    async (kit) => {
      const view = await kit.open();
      const ids = [...OWNER_WRITES.map(({ name }) => name).filter((name) => name !== 'end'), 'create', 'claim'];
      for (const id of ids) await createExpiring(view, id);
      await kit.pass(PAST_SHORT_MS);
      for (const write of OWNER_WRITES) {
        if (write.name !== 'end') assert.equal(await write.run(view, write.name, FENCE), 'fenced', write.name);
      }
      assert.equal(await view.records.create(recordOf('create')), 'exists');
      assert.equal((await view.records.claim('claim', FENCE, OTHER)).claimed, false);
      for (const id of ids) assert.equal((await readEnded(view, id)).outcome, '', id);
    },
  ),
  timedTest(
    'expiry/told-once: an expired session is ended once, without an outcome, also when a read noticed it before',
    async (kit) => {
      const [here, there] = [await kit.openAs(ME), await kit.open()];
      await createExpiring(here, 'ownerless', { owner: null });
      await createExpiring(here, 'owned');
      await kit.pass(PAST_SHORT_MS);
      await readEnded(there, 'ownerless');
      await readEnded(there, 'owned');
      const outcomes = await Promise.all(
        [here, there].map(async (view) => view.records.end('ownerless', OWNERLESS, 'idle')),
      );
      assert.deepEqual(outcomes.sort(), ['ended', 'gone']);
      assert.equal(await here.records.end('owned', FENCE, 'terminated'), 'ended');
      assert.equal(await here.records.end('owned', FENCE, 'terminated'), 'gone');
      for (const id of ['ownerless', 'owned']) assert.equal((await readEnded(here, id)).outcome, '', id);
    },
  ),
  ...needing('clock-set-back', [
    test('expiry/stored: a session that a read or a claim reported as expired has ended for good, also when the clock is set back', async (kit) => {
      const [here, there] = [await kit.openAs(ME), await kit.open()];
      const ids = ['read', 'claimed'];
      for (const id of ids) {
        await createExpiring(here, id);
        assert.equal(await append(here, 'p', 0, ['{}'], { id, complete: true }), 'written');
      }
      await createExpiring(here, 'unread');
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
  ]),
  timedTest('expiry/moves: an owner moves the expiry: later, earlier, and to never', async (kit) => {
    const view = await kit.open();
    for (const id of ['later', 'never']) await createExpiring(view, id);
    await view.records.create(recordOf('earlier'), 3_600_000);
    assertNear((await readLiving(view, 'earlier')).expiresAt, kit.now() + 3_600_000, 'earlier');
    await view.records.save('later', FENCE, { expiresInMs: 3_600_000 });
    assertNear((await readLiving(view, 'later')).expiresAt, kit.now() + 3_600_000, 'later');
    await view.records.save('never', FENCE, { expiresInMs: null });
    await view.records.save('earlier', FENCE, { release: true, expiresInMs: SHORT_MS });
    await kit.pass(PAST_SHORT_MS);
    await readLiving(view, 'later');
    assert.deepEqual(await view.records.read('never'), recordOf('never'));
    assert.equal((await readEnded(view, 'earlier')).outcome, '');
  }),
  test('expiry/at-once: a session that an owner lets expire at once has ended', async (kit) => {
    const view = await kit.open();
    await view.records.create(recordOf('created'), 0);
    await view.records.create(recordOf('saved'), 3_600_000);
    await view.records.save('saved', FENCE, { expiresInMs: 0 });
    await view.records.create(recordOf('released'), 3_600_000);
    await view.records.save('released', FENCE, { release: true, expiresInMs: -1_000 });
    await kit.pass(1);
    for (const id of ['created', 'saved', 'released']) assert.equal((await readEnded(view, id)).outcome, '', id);
  }),
  test('expiry/claimed: a claim leaves the expiry as it is and says how long the session lasts', async (kit) => {
    const view = await kit.open();
    await view.records.create(recordOf('lasting', { owner: null }), 3_600_000);
    await view.records.create(recordOf('endless', { owner: null }));
    for (const lostReplies of [0, 1]) {
      const claim = await view.records.claim('lasting', OWNERLESS, ME);
      assert.ok(claim.claimed && claim.expiresInMs !== null, `lost replies: ${lostReplies}`);
      assert.ok(claim.expiresInMs <= 3_600_000 && claim.expiresInMs > 3_600_000 - CLOCK_SLACK_MS);
    }
    assertNear((await readLiving(view, 'lasting')).expiresAt, kit.now() + 3_600_000, 'lasting');
    assert.equal(claimed(await view.records.claim('endless', OWNERLESS, ME)).expiresInMs, null);
  }),
  timedTest(
    'expired/list: expired sessions are named with owner and epoch until they are ended, no others, and at most so many',
    async (kit) => {
      const view = await kit.openAs(ME);
      await view.records.create(recordOf('lasting', { owner: null }), 3_600_000);
      await view.records.create(recordOf('endless', { owner: null }));
      const all: DueRecord[] = [
        { id: 'dead', epoch: 2, owner: 'dead', expired: true },
        { id: 'none', epoch: 3, owner: null, expired: true },
        { id: 'owned', epoch: 1, owner: ME, expired: true },
      ];
      for (const { id, epoch, owner } of all) await createExpiring(view, id, { epoch, owner });
      assert.deepEqual(await dueNow(view, 10), []);
      await kit.pass(PAST_SHORT_MS);
      assert.deepEqual(sortedBy('id', await dueNow(view, 10)), all);
      const some = await dueNow(view, 2);
      const ids = idsOf(some);
      assert.equal(new Set(ids).size, 2);
      for (const session of some) assert.equal(await view.records.end(session.id, session, 'idle'), 'ended');
      const left = all.filter(({ id }) => !ids.includes(id));
      assert.deepEqual(await dueNow(view, 10), left);
    },
  ),
];
