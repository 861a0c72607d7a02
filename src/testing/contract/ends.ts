import assert from 'node:assert/strict';
import { RECORD_VERSION, isEnded, type EndedSession, type OpenStore, type SessionRecord } from '../../stores/store.ts';
import type { EndReason } from '../../types.ts';
import {
  FENCE,
  ME,
  OTHER,
  PAST_SHORT_MS,
  SHORT_MS,
  announce,
  recordOf,
  type StoreCase,
  type StoreKit,
} from './store-kit.ts';
import { OWNER_WRITES } from './writes.ts';

const REASONS = [
  'deleted',
  'idle',
  'idle_limit',
  'terminated',
  'server_closed',
  'handler_returned',
  'store_lost',
] as const satisfies readonly EndReason[];

/** Clocks of a store and of this process may differ by so much. */
const CLOCK_SLACK_MS = 2_000;

async function readEnded(view: OpenStore, id: string): Promise<EndedSession> {
  const value = await view.sessions.read(id);
  assert.ok(value !== undefined && isEnded(value), `${id} has not ended`);
  return value;
}

/** Nothing that can be done to it brings a session back. */
async function assertStaysEnded(view: OpenStore, id: string): Promise<void> {
  const before = await readEnded(view, id);
  assert.equal(await view.sessions.create(recordOf(id)), 'exists');
  assert.deepEqual(await view.sessions.claim(id, 1, ME), { claimed: false, current: before });
  for (const write of OWNER_WRITES) {
    if (write.name !== 'end') assert.equal(await write.run(view, id, FENCE), 'fenced', write.name);
  }
  assert.deepEqual(await readEnded(view, id), before);
}

/** A session that expires soon, with an event and a marker. */
async function createExpiring(
  kit: StoreKit,
  view: OpenStore,
  id: string,
  more?: Partial<SessionRecord>,
): Promise<void> {
  await view.sessions.create(recordOf(id, { expiresAt: kit.now() + SHORT_MS, ...more }));
}

export const endCases: readonly StoreCase[] = [
  {
    id: 'end/by-owner',
    title: 'an owner ends its session: what stays says why and when, and holds no secret',
    async run(kit) {
      const [here, there] = [await kit.open(), await kit.open()];
      for (const reason of REASONS) {
        await here.sessions.create(recordOf(reason));
        assert.equal(await here.sessions.end(reason, FENCE, reason), 'ended');
        const ended = await readEnded(there, reason);
        assert.ok(Math.abs(ended.at - kit.now()) < CLOCK_SLACK_MS, `at is ${ended.at}, the clock ${kit.now()}`);
        assert.deepEqual(ended, { v: RECORD_VERSION, id: reason, ended: reason, at: ended.at });
      }
    },
  },
  {
    id: 'end/without-fence',
    title: 'without a fence a session ends only when its owner is none or dead',
    async run(kit) {
      const view = await kit.open();
      await announce(view, ME);
      await view.sessions.create(recordOf('living'));
      await view.sessions.create(recordOf('dead', { owner: 'dead' }));
      await view.sessions.create(recordOf('none', { owner: null }));
      assert.equal(await view.sessions.end('living', null, 'terminated'), 'fenced');
      assert.deepEqual(await view.sessions.read('living'), recordOf('living'));
      for (const id of ['dead', 'none']) {
        assert.equal(await view.sessions.end(id, null, 'terminated'), 'ended', id);
        assert.equal((await readEnded(view, id)).ended, 'terminated', id);
      }
      await view.instances.leave(ME);
      assert.equal(await view.sessions.end('living', null, 'deleted'), 'ended');
    },
  },
  {
    id: 'end/once',
    title: 'a session ends once: later ends find it gone, and the first reason stays',
    async run(kit) {
      const view = await kit.open();
      await view.sessions.create(recordOf('s'));
      assert.equal(await view.sessions.end('s', FENCE, 'deleted'), 'ended');
      const before = await readEnded(view, 's');
      assert.equal(await view.sessions.end('s', FENCE, 'terminated'), 'gone');
      assert.equal(await view.sessions.end('s', null, 'idle'), 'gone');
      assert.deepEqual(await readEnded(view, 's'), before);
      assert.equal(await view.sessions.end('never', null, 'idle'), 'gone');
    },
  },
  {
    id: 'end/race',
    title: 'of concurrent ends exactly one ends it, and its reason stays',
    async run(kit) {
      const views = [await kit.open(), await kit.open(), await kit.open()];
      await views[0]?.sessions.create(recordOf('s', { owner: null }));
      const reasons = ['deleted', 'terminated', 'idle_limit'] as const;
      const outcomes = await Promise.all(
        views.map(async (view, n) => ({ outcome: await view.sessions.end('s', null, reasons[n] ?? 'idle'), n })),
      );
      const ended = outcomes.filter(({ outcome }) => outcome === 'ended');
      assert.equal(ended.length, 1);
      assert.equal(outcomes.filter(({ outcome }) => outcome === 'gone').length, 2);
      for (const view of views) assert.equal((await readEnded(view, 's')).ended, reasons[ended[0]?.n ?? 0]);
    },
  },
  {
    id: 'end/stays',
    title: 'nothing brings an ended session back',
    async run(kit) {
      const view = await kit.open();
      await view.sessions.create(recordOf('s'));
      await view.sessions.end('s', FENCE, 'deleted');
      await assertStaysEnded(view, 's');
    },
  },
  {
    id: 'end/drops',
    title: 'the log and the markers of an ended session go at once',
    async run(kit) {
      const view = await kit.open({ tombstoneMs: SHORT_MS });
      await view.sessions.create(recordOf('s'));
      await view.events.append({ sessionId: 's', fence: FENCE, stream: 'p', from: 0, events: ['', '{"secret":1}'] });
      await view.sessions.mark('s', FENCE, { request: '1', stream: 'p' });
      await view.sessions.end('s', FENCE, 'deleted');
      assert.deepEqual(await view.events.replay('s', 'p', -1), { found: false, why: 'unknown' });
      assert.deepEqual(await view.events.open('s'), []);
      // A session made anew under the id, once the tombstone is gone, finds nothing of the old one.
      await kit.pass(PAST_SHORT_MS);
      assert.equal(await view.sessions.create(recordOf('s', { owner: null })), 'created');
      assert.deepEqual(await view.events.replay('s', 'p', -1), { found: false, why: 'unknown' });
      const claim = await view.sessions.claim('s', 1, ME);
      assert.deepEqual(claim.claimed && claim.markers, []);
    },
  },
  {
    id: 'tombstone/goes',
    title: 'an ended session is remembered for tombstoneMs, and then it never was',
    async run(kit) {
      const view = await kit.open({ tombstoneMs: SHORT_MS });
      await view.sessions.create(recordOf('s'));
      await view.sessions.end('s', FENCE, 'deleted');
      assert.equal((await readEnded(view, 's')).ended, 'deleted');
      await kit.pass(PAST_SHORT_MS);
      assert.equal(await view.sessions.read('s'), undefined);
      assert.deepEqual(await view.sessions.claim('s', 1, ME), { claimed: false, current: undefined });
      assert.equal(await view.sessions.create(recordOf('s', { user: 'new' })), 'created');
      assert.deepEqual(await view.sessions.read('s'), recordOf('s', { user: 'new' }));
    },
  },
  {
    id: 'tombstone/limit',
    title: 'past its limit a process forgets the sessions that ended first',
    needs: 'process-limits',
    async run(kit) {
      const view = await kit.open({ tombstones: 3 });
      for (let n = 0; n < 5; n++) {
        await view.sessions.create(recordOf(`s${n}`));
        await view.sessions.end(`s${n}`, FENCE, 'deleted');
      }
      const remembered = await Promise.all(
        [0, 1, 2, 3, 4].map(async (n) => (await view.sessions.read(`s${n}`)) !== undefined),
      );
      assert.deepEqual(remembered, [false, false, true, true, true]);
    },
  },
  {
    id: 'expiry/ends',
    title: 'past its expiry a session has ended as idle, also one with a living owner, and nothing brings it back',
    async run(kit) {
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
    },
  },
  {
    id: 'expiry/unread',
    title: 'an expired session that nobody has read is refused by every write, by create and by claim',
    async run(kit) {
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
    },
  },
  {
    id: 'expiry/told-once',
    title: 'an expired session is ended once, as idle, also when a read noticed it before',
    async run(kit) {
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
    },
  },
  {
    id: 'expiry/moves',
    title: 'an owner moves the expiry: later, earlier, and to never',
    async run(kit) {
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
    },
  },
  {
    id: 'expired/list',
    title: 'expired sessions without a living owner are named until they are ended, no others, and at most so many',
    async run(kit) {
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
    },
  },
];
