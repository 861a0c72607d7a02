import assert from 'node:assert/strict';
import { isEnded, type StoredRecord } from '../../../src/stores/store.ts';
import { idsOf, openStreams, type View } from '../view.ts';
import { assertNear, assertStaysEnded, readEnded } from './ended.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest, needing } from './store-case.ts';
import { FENCE, ME, OTHER, readLiving, recordOf, append } from './store-kit.ts';

/** A session that expires soon. */
async function createExpiring(view: View, id: string, more?: Partial<StoredRecord>): Promise<void> {
  await view.records.create(recordOf(id, more), SHORT_MS);
}

export const expiryCases = [
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
  timedTest(
    'expiry/moved-elsewhere: an append is refused past the expiry that another view of its owner has set',
    async (kit) => {
      const [here, there] = await kit.openTwoWith(['s']);
      assert.equal(await append(here, 'p', 0, ['1']), 'written');
      assert.equal(await there.records.save('s', FENCE, { expiresInMs: SHORT_MS }), 'written');
      await kit.pass(PAST_SHORT_MS);
      assert.equal(await append(here, 'p', 1, ['2']), 'fenced');
    },
  ),
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
];
