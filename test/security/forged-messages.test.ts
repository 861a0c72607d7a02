/**
 * A process that reaches the mailboxes of a deployment, but does not know its keys, sends messages as an instance:
 * calls in a session, ends, bus events, orders of the command line. It has no lease, or another lease.
 */
import { describe, expect, test } from 'vitest';
import { LINK_VERSION } from '../../src/cluster/messages.ts';
import { takeOrder } from '../../src/cluster/orders.ts';
import { SignedMessages } from '../../src/cluster/signed-messages.ts';
import { STORE_SECRET } from '../../src/base/options/defaults.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { InstanceMessage, Store } from '../../src/stores/store.ts';
import type { FakeTime } from '../../src/testing/index.ts';
import { serveFleet, type FleetOptions, type Member } from '../kit/fleet.ts';
import { say } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { durableKinds, sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { later, movingTime } from '../kit/moving-time.ts';
import { until } from '../kit/until.ts';
import type { View } from '../stores/contract/view.ts';
import { openView, storeOptions } from '../stores/views.ts';

useSharedStores();

const KEY = 'a-key-that-only-the-deployment-has';

/** On a file all have the same clock. */
const viewOf = (store: Store, time: FakeTime): Promise<View> =>
  openView(store, { deployment: 'mcp', time });

/** What each message would do. */
function forgeries(to: string, sessionId: string): InstanceMessage[] {
  const link = (first: number, ...items: object[]): InstanceMessage => ({
    kind: 'link',
    v: LINK_VERSION,
    to,
    first,
    items,
    ack: 0,
  });
  const call = {
    t: 'call',
    n: 1,
    call: 'post',
    mayHaveRun: false,
    method: 'POST',
    url: '/mcp',
    absoluteUrl: 'http://127.0.0.1/mcp',
    headers: { 'mcp-session-id': sessionId, accept: 'application/json, text/event-stream' },
    text: JSON.stringify({
      jsonrpc: '2.0',
      id: 'forged',
      method: 'tools/call',
      params: { name: 'count' },
    }),
  };
  return [
    link(0, { ...call, call: 'terminate', method: 'DELETE', text: undefined }),
    link(0, call),
    link(0, { t: 'ping' }),
    { kind: 'unlinked' },
    { kind: 'bus', event: { kind: 'tools_list_changed' } },
    { kind: 'order', by: 'me', run: 'drain' },
    { kind: 'order', by: 'me', run: 'end', session: sessionId },
    { kind: 'probe' },
    { kind: 'no-such-kind' },
  ];
}

const signatures = [
  undefined,
  '',
  `d${Buffer.alloc(32).toString('base64url')}`,
  `a${Buffer.alloc(32).toString('base64url')}`,
];

/** Events, and that an instance was without its lease for a while, go to every instance that has one. */
const isAnswer = (kind: string): boolean => kind !== 'bus' && kind !== 'missed';

describe.each(durableKinds)('on %s', (kind) => {
  const fleet = async (more: FleetOptions = {}) => {
    const open = sharedStore(kind);
    const time = movingTime();
    const [a, b] = await serveFleet(2, { store: open, timeProvider: time, ...more });
    const client = await a.openSession({}, { timeoutMs: 30_000 });
    expect(await say(client, 'count')).toBe('1');
    const attacker = (await viewOf(open(), time)).instances;
    const answered: unknown[] = [];
    const listen = async (version: string): Promise<void> => {
      const lease = { id: 'forger', state: 'serving', version } as const;
      await attacker.announce(
        lease,
        (_, { kind: one }) => void (isAnswer(one) && answered.push(one)),
      );
    };
    /** The log counts most of these lines, and says their number after some seconds. */
    const areRefused = (count: number): Promise<boolean> =>
      later(time, () => refusals(a) === count, `${count} refusals`);
    return { open, time, a, b, client, attacker, answered, listen, areRefused };
  };
  /** Lines, and the numbers of those that were left out. */
  const refusals = (member: Member): number =>
    member.log
      .matching(/^A message between instances was refused/)
      .reduce((sum, { fields }) => sum + Number(fields['lines'] ?? 1), 0);

  test.each([
    { title: 'the key of the store', keys: undefined, version: '0.2.0' },
    { title: 'a given key', keys: [KEY], version: '0.2.0' },
    { title: 'a given key, from an instance of an earlier version', keys: [KEY], version: '0.1.0' },
  ])('$title: forged messages have no effect and no answer', async ({ keys, version }) => {
    const { a, b, client, attacker, answered, listen, areRefused } = await fleet({
      secrets: keys,
    });
    const get = await client.get();
    await get.next();
    await listen(version);
    let attempts = 0;
    for (const from of ['forger', 'no-such-instance', b.id]) {
      for (const message of forgeries(a.id, client.sessionId ?? '')) {
        for (const mac of signatures) {
          const forged = mac === undefined ? message : { ...message, mac };
          await (message.kind === 'bus'
            ? attacker.publish(from, forged)
            : attacker.send(from, a.id, forged));
          attempts += 1;
        }
      }
    }
    expect(attempts).toBe(108);
    // A directory does not deliver an instance its own bus events.
    await areRefused(attempts);
    expect(answered).toEqual([]);
    // The session lives on A, with its count, and B still relays to it.
    const near = b.join(client);
    expect(await say(near, 'count')).toBe('2');
    expect([a.endpoint.sessions.liveCount, a.endpoint.health().state]).toEqual([1, 'serving']);
    expect(get.messages).toEqual([]);
    expect((await near.delete()).status).toBe(200);
  });

  test.each([
    { title: 'given keys refuse all of it', keys: [KEY], isRefused: true },
    // The rest of the threat model says so: this key is for what cannot read the store's secrets.
    { title: 'the key of the store does not', keys: undefined, isRefused: false },
  ])('a process that reads the secret of the store signs with it: $title', async (given) => {
    const { open, time, a, client, areRefused } = await fleet({ secrets: given.keys });
    const { deployment, leaseMs, logger } = storeOptions();
    const store = await viewOf(open(), time);
    const options = { deployment, secrets: [STORE_SECRET], leaseMs, timeProvider: time, logger };
    const forger = new SignedMessages(store, options);
    const answers: InstanceMessage[] = [];
    await forger.announce(
      { id: 'reader', state: 'serving', version: '0.2.0' },
      (_, answer) => void answers.push(answer),
    );
    const messages = forgeries(a.id, client.sessionId ?? '').filter(
      ({ kind: one }) => given.isRefused || one !== 'order',
    );
    for (const message of messages) {
      await (message.kind === 'bus'
        ? forger.publish('reader', message)
        : forger.send('reader', a.id, message));
    }
    if (!given.isRefused) {
      const isEnded = async () => (await client.call('ping')).response.status === 404;
      await until(isEnded, { what: 'the end that the forger asked for', timeoutMs: 20_000 });
      return;
    }
    await areRefused(messages.length);
    const directly = answers.filter(({ kind: one }) => isAnswer(one));
    expect(directly).toEqual([]);
    expect([await say(client, 'count'), a.endpoint.health().state]).toEqual(['2', 'serving']);
  });
});

test('what the sender of an order calls itself cannot write into the log', async () => {
  const log = createLog();
  const order = {
    kind: 'order',
    run: 'end',
    session: 's',
    by: `\u001b[2J\n${'x'.repeat(500)}`,
  } as const;
  const nothing = async () => {};
  await takeOrder(order, { drain: () => {}, end: nothing, close: nothing }, log);
  const [line] = log.matching(/as sojourn sessions end ordered/);
  // oxlint-disable-next-line no-control-regex
  expect(String(line?.fields['by'])).toMatch(/^[^\u0000-\u001f]{10,80}$/);
});

test('in one process, where messages are not signed, there are no orders', async () => {
  const store = memory();
  const [a] = await serveFleet(1, { store });
  const client = await a.openSession();
  const { instances } = await openView(store, { deployment: 'mcp' });
  for (const order of [{ run: 'drain' }, { run: 'end', session: client.sessionId }])
    await instances.send('other', a.id, { kind: 'order', by: 'me', ...order });
  expect((await client.call('ping')).response.status).toBe(200);
  expect(a.endpoint.health().state).toBe('serving');
});
