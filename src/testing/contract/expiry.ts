import assert from 'node:assert/strict';
import { RECORD_VERSION, isEnded, type OpenStore, type SessionRecord } from '../../stores/store.ts';
import { CLOCK_SLACK_MS, assertStaysEnded, readEnded } from './ended.ts';
import {
  FENCE,
  ME,
  OTHER,
  PAST_SHORT_MS,
  SHORT_MS,
  announce,
  inTime,
  recordOf,
  type StoreCase,
  type StoreKit,
} from './store-kit.ts';
import { OWNER_WRITES } from './writes.ts';

/** A session that expires soon. */
async function createExpiring(
  kit: StoreKit,
  view: OpenStore,
  id: string,
  more?: Partial<SessionRecord>,
): Promise<void> {
  await view.sessions.create(recordOf(id, { expiresAt: kit.now() + SHORT_MS, ...more }));
}

export const expiryCases: readonly StoreCase[] = [
  {
    id: 'expiry/ends',
    title: 'past its expiry a session has ended as idle, also one with a living owner, and nothing brings it back',
    run: inTime(async (kit) => {
      const view = await kit.open();
      await announce(view, ME);
      for (const [id, owner] of Object.entries({ owned: ME, orphaned: 'dead', ownerless: null })) {
        await createExpiring(kit, view, id, { owner });
      }
      const fence = FENCE;
      await view.events.append({ sessionId: 'owned', fence, stream: 'p', from: 0, events: ['{}'] });
      await view.sessions.mark('owned', FENCE, { request: '1', stream: 'p' });
      for (const id of ['owned', 'orphaned', 'ownerless'])
        assert.ok(!isEnded((await view.sessions.read(id)) as SessionRecord));
      await kit.pass(PAST_SHORT_MS);
      for (const id of ['owned', 'orphaned', 'ownerless']) {
        const ended = await readEnded(view, id);
        assert.deepEqual(ended, { v: RECORD_VERSION, id, ended: 'idle', at: ended.at });
        assert.ok(Math.abs(ended.at - kit.now()) < CLOCK_SLACK_MS + PAST_SHORT_MS);
        await assertStaysEnded(view, id);
      }
      assert.deepEqual(await view.events.replay('owned', 'p', -1), { found: false, why: 'unknown' });
      assert.deepEqual(await view.events.open('owned'), []);
    }),
  },
  {
    id: 'expiry/unread',
    title: 'an expired session that was never read refuses every write, a create and a claim',
    run: inTime(async (kit) => {
      const view = await kit.open();
      const ids = [...OWNER_WRITES.map(({ name }) => name).filter((name) => name !== 'end'), 'create', 'claim'];
      for (const id of ids) await createExpiring(kit, view, id);
      await kit.pass(PAST_SHORT_MS);
      for (const write of OWNER_WRITES) {
        if (write.name !== 'end') assert.equal(await write.run(view, write.name, FENCE), 'fenced', write.name);
      }
      assert.equal(await view.sessions.create(recordOf('create')), 'exists');
      assert.equal((await view.sessions.claim('claim', 1, OTHER)).claimed, false);
      for (const id of ids) assert.equal((await readEnded(view, id)).ended, 'idle', id);
    }),
  },
  {
    id: 'expiry/told-once',
    title: 'an expired session is ended once, as idle, also when a read noticed it before',
    run: inTime(async (kit) => {
      const [here, there] = [await kit.open(), await kit.open()];
      await announce(here, ME);
      await createExpiring(kit, here, 'ownerless', { owner: null });
      await createExpiring(kit, here, 'owned');
      await kit.pass(PAST_SHORT_MS);
      await readEnded(there, 'ownerless');
      await readEnded(there, 'owned');
      const outcomes = await Promise.all(
        [here, there].map(async (view) => view.sessions.end('ownerless', null, 'idle')),
      );
      assert.deepEqual(outcomes.sort(), ['ended', 'gone']);
      assert.equal(await here.sessions.end('owned', FENCE, 'terminated'), 'ended');
      assert.equal(await here.sessions.end('owned', FENCE, 'terminated'), 'gone');
      for (const id of ['ownerless', 'owned']) assert.equal((await readEnded(here, id)).ended, 'idle', id);
    }),
  },
  {
    id: 'expiry/stored',
    title: 'a session that a read or a claim reported as expired has ended for good, also when the clock is set back',
    needs: 'clock-set-back',
    run: async (kit) => {
      const [here, there] = [await kit.open(), await kit.open()];
      await announce(here, ME);
      const ids = ['read', 'claimed'];
      for (const id of ids) {
        await createExpiring(kit, here, id);
        const append = { sessionId: id, fence: FENCE, stream: 'p', from: 0, events: ['{}'] };
        assert.equal(await here.events.append({ ...append, complete: true }), 'written');
      }
      await createExpiring(kit, here, 'unread');
      await kit.pass(PAST_SHORT_MS);
      assert.equal((await readEnded(there, 'read')).ended, 'idle');
      const claim = await there.sessions.claim('claimed', 1, OTHER);
      assert.ok(!claim.claimed && claim.current !== undefined && isEnded(claim.current));
      await kit.pass(-PAST_SHORT_MS);
      for (const id of ids) {
        assert.equal((await readEnded(here, id)).ended, 'idle', id);
        await assertStaysEnded(here, id);
        assert.deepEqual(await here.events.open(id), []);
        assert.deepEqual(await here.events.replay(id, 'p', -1), { found: false, why: 'unknown' });
      }
      // No call reported this one as expired: by the clock it has not ended.
      assert.equal(await here.sessions.save('unread', FENCE, { logLevel: 'debug' }), 'written');
      assert.deepEqual(
        (await here.sessions.list(10)).records.map(({ id }) => id),
        ['unread'],
      );
      for (const id of ids) {
        assert.equal(await here.sessions.end(id, FENCE, 'terminated'), 'ended', id);
        assert.equal(await here.sessions.end(id, FENCE, 'terminated'), 'gone', id);
        assert.equal((await readEnded(here, id)).ended, 'idle', id);
      }
    },
  },
  {
    id: 'expiry/moves',
    title: 'an owner moves the expiry: later, earlier, and to never',
    run: inTime(async (kit) => {
      const view = await kit.open();
      for (const id of ['later', 'never']) await createExpiring(kit, view, id);
      await view.sessions.create(recordOf('earlier', { expiresAt: kit.now() + 3_600_000 }));
      await view.sessions.save('later', FENCE, { expiresAt: kit.now() + 3_600_000 });
      await view.sessions.save('never', FENCE, { expiresAt: null });
      await view.sessions.release('earlier', FENCE, { expiresAt: kit.now() + SHORT_MS });
      await kit.pass(PAST_SHORT_MS);
      assert.ok(!isEnded((await view.sessions.read('later')) as SessionRecord));
      assert.deepEqual(await view.sessions.read('never'), recordOf('never'));
      assert.equal((await readEnded(view, 'earlier')).ended, 'idle');
    }),
  },
  {
    id: 'expired/list',
    title: 'expired sessions without a living owner are named until they are ended, no others, and at most so many',
    run: inTime(async (kit) => {
      const view = await kit.open();
      await announce(view, ME);
      await createExpiring(kit, view, 'owned');
      await view.sessions.create(recordOf('lasting', { owner: null, expiresAt: kit.now() + 3_600_000 }));
      await view.sessions.create(recordOf('endless', { owner: null }));
      for (const id of ['a', 'b', 'c']) await createExpiring(kit, view, id, { owner: id === 'c' ? 'dead' : null });
      assert.deepEqual(await view.sessions.expired(10), []);
      await kit.pass(PAST_SHORT_MS);
      assert.deepEqual([...(await view.sessions.expired(10))].sort(), ['a', 'b', 'c']);
      const some = await view.sessions.expired(2);
      assert.equal(new Set(some).size, 2);
      for (const id of some) assert.equal(await view.sessions.end(id, null, 'idle'), 'ended');
      assert.deepEqual(
        [...(await view.sessions.expired(10))],
        ['a', 'b', 'c'].filter((id) => !some.includes(id)),
      );
      await view.instances.leave(ME);
      assert.ok((await view.sessions.expired(10)).includes('owned'));
    }),
  },
];
