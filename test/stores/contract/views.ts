/** What each store does in its own way: messages between instances, and views that open and close. */
import assert from 'node:assert/strict';
import type { InstanceMessage } from '../../../src/stores/store.ts';
import { until } from '../../../src/testing/until.ts';
import { idsOf } from './view.ts';
import { announce, append, type Inbox, ME, OTHER, recordOf, test } from './store-kit.ts';

/** Above the usual limits of servers: 1 MiB of many brokers and proxies, 4 MiB of a POST's body. */
const LARGE_BYTES = 5 * 1024 * 1024;

const numbers = ({ messages }: Inbox): unknown[] => messages.map(({ n }) => n);

export const viewCases = [
  test('mailbox/send: a message reaches the instance it is sent to, and no other, with its sender and its content', async (kit) => {
    const [here, there] = [await kit.open(), await kit.open()];
    const mine = await announce(here, ME);
    const others = await announce(there, OTHER);
    const message = {
      kind: 'call',
      text: 'Größe 🧪',
      deep: { list: [1, null, 'x'.repeat(65_536)] },
    };
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
    const inboxes = await Promise.all(
      views.map(async (view, n) => announce(view, `instance-${n}`)),
    );
    await announce(views[1], 'second-of-one-process');
    await views[0].instances.publish('instance-0', { kind: 'event', n: 1 });
    await until(() => inboxes.slice(1).every(({ messages }) => messages.length === 1), {
      what: 'the event',
    });
    for (const inbox of inboxes.slice(1)) {
      assert.deepEqual(inbox, {
        from: ['instance-0'],
        messages: [{ kind: 'event', n: 1 }],
        lost: 0,
      });
    }
    // A message to itself comes after what was published before it: nothing is still on its way to the publisher.
    await views[1].instances.send('instance-1', 'instance-0', { kind: 'after' });
    await until(() => inboxes[0]?.messages.length === 1, { what: 'the message after' });
    assert.deepEqual(inboxes[0]?.messages, [{ kind: 'after' }]);
  }),
  test('mailbox/large: a message of 5 MiB arrives whole, before the messages that its sender sent after it', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    const { messages: got } = await announce(there, OTHER);
    const text = 'é🧪'.repeat(LARGE_BYTES / 6);
    const messages: InstanceMessage[] = [{ kind: 'large', text }, { kind: 'n' }];
    const sent = await Promise.all(
      messages.map(async (message) => here.instances.send(ME, OTHER, message)),
    );
    assert.deepEqual(sent, ['sent', 'sent']);
    await until(() => got.length === 2, { what: 'both messages' });
    const [first, second] = got;
    assert.deepEqual([first?.kind, second?.kind], ['large', 'n']);
    assert.ok(first?.['text'] === text, 'the text came as it was sent');
  }),
  test('deployment/instances: deployments see nothing of each other: leases, messages and the bus', async (kit) => {
    const [a, b] = [await kit.open({ deployment: 'a' }), await kit.open({ deployment: 'b' })];
    const received: unknown[] = [];
    await a.instances.announce({ id: ME, state: 'serving', version: '1' }, () =>
      received.push('a'),
    );
    await b.instances.announce({ id: OTHER, state: 'serving', version: '1' }, (_, { kind }) =>
      received.push(kind),
    );
    assert.deepEqual(idsOf(await a.instances.list()), [ME]);
    assert.equal(await a.instances.read(OTHER), undefined);
    assert.equal(await a.instances.send(ME, OTHER, { kind: 'stray' }), 'suspect');
    await a.instances.publish(ME, { kind: 'stray' });
    // An owner that is alive in one deployment is dead in the other.
    assert.equal(await b.instances.read(ME), undefined);
    await b.instances.send(OTHER, OTHER, { kind: 'own' });
    await until(() => received.length > 0, { what: 'the own message' });
    assert.deepEqual(received, ['own']);
  }),
  test('close/others: a view that closes takes nothing from the others', async (kit) => {
    const [first, second] = [await kit.openAs(OTHER), await kit.openAs(ME)];
    await first.records.create(recordOf('s'));
    await append(first, 'p', 0, ['1']);
    const secret = Buffer.from(await first.secret('one'));
    await first.close();
    await first.close();
    assert.deepEqual(await second.records.read('s'), recordOf('s'));
    assert.equal((await second.records.replay('s', 'p', -1)).found, true);
    assert.deepEqual(Buffer.from(await second.secret('one')), secret);
    assert.ok(await second.instances.read(ME));
    // Its own instances have left.
    assert.equal(await second.instances.read(OTHER), undefined);
  }),
  test('append/close: writes that were requested before the view closes are stored', async (kit) => {
    const view = await kit.openWith(['s']);
    const writes = Array.from({ length: 600 }, async (_, n) => append(view, 'p', n, [`"${n}"`]));
    await view.close();
    assert.deepEqual(new Set(await Promise.all(writes)), new Set(['written']));
  }),
];
