import assert from 'node:assert/strict';
import type { InstanceLease } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { until } from '../../../src/testing/until.ts';
import { PAST_SHORT_MS, SHORT_MS, test, needing } from './store-case.ts';
import { announce, ME, OTHER, sortedBy, type Inbox } from './store-kit.ts';

/** The members of a lease that callers know; a store may add more. */
const shown = (lease: InstanceLease | undefined) =>
  lease && { id: lease.id, state: lease.state, version: lease.version, process: lease.process };

const PROCESS = { host: 'web-1', pid: 4711, startedAt: 1_800_000_000_000, runtime: 'Node.js 22.12.0' };

async function lease(view: View, id: string): Promise<InstanceLease> {
  const found = await view.instances.read(id);
  assert.ok(found, `${id} has no lease`);
  return found;
}

async function assertDead(view: View, id: string): Promise<void> {
  assert.equal(await view.instances.read(id), undefined);
  assert.ok(!(await view.instances.list()).some((other) => other.id === id));
  assert.equal(await view.instances.renew(id, 'serving'), false);
  assert.equal(await view.instances.read(id), undefined);
}

const numbers = ({ messages }: Inbox): unknown[] => messages.map(({ n }) => n);

export const instanceCases = [
  test('lease/announce: every view reads an instance as it announced itself, and the state of its last renewal', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    assert.equal(await there.instances.read(ME), undefined);
    assert.deepEqual(await there.instances.list(), []);
    const mine = { id: ME, version: '1.2.3', process: PROCESS };
    const other = { id: OTHER, state: 'draining', version: '1.2.4' } as const;
    await here.instances.announce({ ...mine, state: 'serving' }, () => undefined);
    await there.instances.announce(other, () => undefined);
    for (const state of ['serving', 'draining'] as const) {
      assert.equal(await here.instances.renew(ME, state), true);
      for (const view of [here, there]) {
        assert.deepEqual(shown(await view.instances.read(ME)), { ...mine, state });
        assert.deepEqual(shown(await view.instances.read(OTHER)), { ...other, process: undefined });
        assert.deepEqual(sortedBy('id', await view.instances.list()).map(shown), [
          { ...mine, state },
          { ...other, process: undefined },
        ]);
      }
    }
    assert.equal(await there.instances.bury(await lease(there, ME)), true);
  }),
  test('lease/leave: an instance that leaves, or was never announced, is dead at once, and stays so', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    await assertDead(there, 'never');
    await here.instances.leave(ME);
    await assertDead(there, ME);
    await here.instances.leave(ME);
    await assert.rejects(async () => announce(here, ME));
    await assertDead(here, ME);
  }),
  test('lease/bury: a lease is buried once, where it is as it was seen and was not renewed since, and death is final', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    for (const state of ['serving', 'draining'] as const) {
      const early = await lease(there, ME);
      assert.equal(await here.instances.renew(ME, state), true);
      assert.equal(await there.instances.bury(early), false);
    }
    const seen = await lease(there, ME);
    const { stamp: _, ...unstamped } = seen;
    assert.equal(await there.instances.bury({ ...unstamped, state: 'serving' }), false);
    assert.equal(await there.instances.bury(seen), true);
    await assertDead(here, ME);
    assert.equal(await there.instances.bury(seen), false);
    assert.equal(await there.instances.bury({ ...seen, id: 'never' }), false);
  }),
  test('lease/bury-race: of concurrent burials exactly one buries', async (kit) => {
    const views = [await kit.open(), await kit.open(), await kit.open()];
    await announce(views[0] as View, ME);
    const seen = await Promise.all(views.map(async (view) => lease(view, ME)));
    const outcomes = await Promise.all(views.map(async (view, n) => view.instances.bury(seen[n] as InstanceLease)));
    assert.deepEqual(outcomes.filter(Boolean), [true]);
  }),
  ...needing('lease-expiry', [
    test('lease/expiry: a lease that is not renewed runs out, and its id is dead for ever', async (kit) => {
      const view = await kit.openAs(ME, { leaseMs: SHORT_MS });
      assert.equal((await view.instances.read(ME))?.id, ME);
      await kit.pass(PAST_SHORT_MS);
      await assertDead(view, ME);
    }),
    test('lease/renewals: a lease that is renewed in time outlives leaseMs', async (kit) => {
      const view = await kit.openAs(ME, { leaseMs: SHORT_MS });
      for (let n = 0; n < 6; n++) {
        await kit.pass(SHORT_MS / 3);
        assert.equal(await view.instances.renew(ME, 'serving'), true);
      }
      assert.ok(await view.instances.read(ME));
    }),
  ]),
  test('mailbox/send: a message reaches the instance it is sent to, and no other, with its sender and its content', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    const mine = await announce(here, ME);
    const others = await announce(there, OTHER);
    const message = { kind: 'call', text: 'Größe 🧪', deep: { list: [1, null, 'x'.repeat(65_536)] } };
    assert.equal(await here.instances.send(ME, OTHER, message), 'sent');
    await until(() => others.messages.length === 1, { what: 'the message' });
    assert.deepEqual(others, { from: [ME], messages: [message], lost: 0 });
    assert.equal(await there.instances.send(OTHER, ME, { kind: 'answer' }), 'sent');
    await until(() => mine.messages.length === 1, { what: 'the answer' });
    assert.deepEqual(mine, { from: [OTHER], messages: [{ kind: 'answer' }], lost: 0 });
  }),
  test('mailbox/order: messages of one sender arrive in order, also those that were sent together', async (kit) => {
    const [here, there, third] = [await kit.open(), await kit.open(), await kit.open()];
    const inbox = await announce(there, OTHER);
    await announce(here, ME);
    await announce(third, 'third');
    const sends: Array<Promise<unknown>> = [];
    for (let n = 0; n < 50; n++) {
      sends.push((async () => here.instances.send(ME, OTHER, { kind: 'n', n }))());
      sends.push((async () => third.instances.send('third', OTHER, { kind: 'n', n: -1 - n }))());
    }
    await Promise.all(sends);
    for (let n = 50; n < 60; n++) await here.instances.send(ME, OTHER, { kind: 'n', n });
    await until(() => inbox.messages.length === 110, { what: '110 messages' });
    const of = (sender: string) => numbers(inbox).filter((_, i) => inbox.from[i] === sender);
    const numbered = Array.from({ length: 60 }, (_, n) => n);
    assert.deepEqual([of(ME), of('third')], [numbered, numbered.slice(0, 50).map((n) => -1 - n)]);
  }),
  test('mailbox/dead: a message to an unknown or dead instance is suspect, and reaches none', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    const send = async (id: string) => here.instances.send(ME, id, { kind: 'n' });
    assert.equal(await send('never'), 'suspect');
    const silent = await announce(there, 'silent');
    await there.instances.leave('silent');
    assert.equal(await send('silent'), 'suspect');
    assert.deepEqual(silent.messages, []);
    const inbox = await announce(there, OTHER);
    await send(OTHER);
    await until(() => inbox.messages.length === 1, { what: 'the message' });
    await there.instances.leave(OTHER);
    await until(async () => (await send(OTHER)) === 'suspect', { what: 'suspicion' });
    assert.equal(inbox.messages.length, 1);
  }),
  test('publish/others: what is published reaches every other living instance, and not its publisher', async (kit) => {
    const views = [await kit.open(), await kit.open(), await kit.open()] as const;
    const inboxes = await Promise.all(views.map(async (view, n) => announce(view, `instance-${n}`)));
    await announce(views[1], 'second-of-one-process');
    await views[0].instances.publish('instance-0', { kind: 'event', n: 1 });
    await until(() => inboxes.slice(1).every(({ messages }) => messages.length === 1), { what: 'the event' });
    for (const inbox of inboxes.slice(1)) {
      assert.deepEqual(inbox, { from: ['instance-0'], messages: [{ kind: 'event', n: 1 }], lost: 0 });
    }
    // A message to itself comes after what was published before it: nothing is still on its way to the publisher.
    await views[1].instances.send('instance-1', 'instance-0', { kind: 'after' });
    await until(() => inboxes[0]?.messages.length === 1, { what: 'the message after' });
    assert.deepEqual(inboxes[0]?.messages, [{ kind: 'after' }]);
  }),
];
