/**
 * Attacks on the orders that the command line sends to instances, by one who can write into the store and knows what
 * was sent before: other keys, another receiver, copies, a sender without a key. The clocks of the machines differ.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { Orders, type OrderMessage } from '../../src/cluster/orders.ts';
import { GivenOrders as Operator } from '../../src/cli/records/given-orders.ts';
import { openEndpointStore } from '../../src/endpoint/endpoint-store.ts';
import { Notices } from '../../src/observe/notices.ts';
import { USER_DEFAULTS } from '../../src/options/resolve-limits.ts';
import { DEFAULTS } from '../../src/options/table.ts';
import type { EndpointStore } from '../../src/session/record/record-kinds.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { InstanceMessage, Store } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveFleet, type FleetOptions, type Member } from '../kit/fleet.ts';
import { createLog } from '../kit/log.ts';
import { later, movingTime } from '../kit/moving-time.ts';
import { durableKinds, sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

const KEY = 'an-instance-key-of-32-bytes-or-more';
const OTHER = 'another-key-of-32-bytes-or-more-for-others';
const LEASE_MS = 30_000;

useSharedStores();

interface Sent {
  readonly from: string;
  readonly to: string;
  readonly message: InstanceMessage;
}

/** A view of the store as a command has it. `sent`: what it sent, signed. */
async function commandOn(store: Store, keys?: readonly string[], timeProvider = DEFAULTS.timeProvider) {
  const options = { ...DEFAULTS, perUser: USER_DEFAULTS, timeProvider, notices: new Notices(), logger: createLog() };
  const view = await openEndpointStore(store, options);
  onTestFinished(() => view.close());
  const sent: Sent[] = [];
  const { instances } = view;
  const recording = Object.assign(Object.create(instances) as typeof instances, {
    send(from: string, to: string, message: InstanceMessage) {
      sent.push({ from, to, message });
      return instances.send(from, to, message);
    },
  });
  const watched: EndpointStore = { ...view, instances: recording };
  const operator = new Operator(watched, { instanceKeys: keys, waitMs: 5_000, name: DEFAULTS.name });
  return { view, operator, sent, again: ({ from, to, message }: Sent) => instances.send(from, to, message) };
}

async function fleet(connect: () => Store, size: number, options: FleetOptions = {}): Promise<Member[]> {
  return serveFleet(size, { store: connect, leaseMs: LEASE_MS, ...options });
}

const refusals = ({ log }: Member) => log.matching(/^An order of the command line was refused/, 'warn');
const isServing = ({ endpoint }: Member): boolean => endpoint.health().state === 'serving';

describe.each(durableKinds)('on %s', (kind) => {
  test('a foreign key, no key and another receiver order nothing', { timeout: 60_000 }, async () => {
    const connect = sharedStore(kind);
    const [a, b] = (await fleet(connect, 2, { instanceKeys: [KEY] })) as [Member, Member];
    const [good, foreign, ofStore] = [
      await commandOn(connect(), [KEY]),
      await commandOn(connect(), [OTHER]),
      await commandOn(connect()),
    ];
    const client = b.client();
    await client.initialize();
    const session = client.sessionId ?? '';
    const leaseOf = async ({ id }: Member) => (await good.view.instances.read(id)) ?? expect.fail('no lease');
    for (const { operator } of [foreign, ofStore]) {
      await operator.send(await leaseOf(b), { run: 'drain' });
      await operator.send(await leaseOf(b), { run: 'end', session });
    }
    const { stamp = '' } = await leaseOf(b);
    const plain = { kind: 'order', run: 'drain', to: b.id, stamp, nonce: 'n', by: 'me' };
    for (const mac of [undefined, '', 'd', `d${'A'.repeat(43)}`, 5])
      await good.view.instances.send('command-1', b.id, { ...plain, mac });
    // Signed for A, sent to B: as it is, and with the name of B in it.
    await good.operator.send(await leaseOf(a), { run: 'end', session: 'none' });
    const [ofA] = good.sent as [Sent];
    await good.again({ ...ofA, to: b.id });
    await good.again({ ...ofA, to: b.id, message: { ...ofA.message, to: b.id } });
    await until(() => b.log.matching(/^A message between instances was refused/).length > 1);
    expect((await client.call('ping')).response.status).toBe(200);
    expect([a, b].map(isServing)).toEqual([true, true]);
    // The right key does.
    await good.operator.send(await leaseOf(b), { run: 'end', session });
    await until(async () => (await client.call('ping')).response.status === 404, { what: 'the end' });
  });

  test(
    'a copy orders nothing, at once and when the order is old; no clock is compared',
    { timeout: 60_000 },
    async () => {
      const connect = sharedStore(kind);
      // The clock of this instance is three years ahead. The users of a SQLite file have one machine and one clock.
      const time = movingTime(Date.now() + 1e11);
      const [a] = (await fleet(connect, 1, { timeProvider: time })) as [Member];
      const command = await commandOn(connect(), undefined, kind === 'sqlite' ? time : undefined);
      const [one, two] = [a.client(), a.client()];
      for (const client of [one, two]) await client.initialize();
      const lease = (await command.view.instances.read(a.id)) ?? expect.fail('no lease');
      await command.operator.send(lease, { run: 'end', session: one.sessionId ?? '' });
      await until(async () => (await one.call('ping')).response.status === 404, { what: 'the end' });
      const [order] = command.sent as [Sent];
      await command.again(order);
      await until(() => refusals(a).length === 1, { what: 'the first refusal' });
      expect(refusals(a)[0]?.fields).toMatchObject({ why: 'it came before: this is a copy', run: 'end' });
      // An order that was held back is too old.
      const renewals = async () => Number((await command.view.instances.read(a.id))?.stamp) - Number(lease.stamp);
      await later(time, async () => (await renewals()) > 11, 'renewals');
      await command.operator.send(lease, { run: 'end', session: two.sessionId ?? '' });
      await command.operator.send({ ...lease, stamp: String(Number(lease.stamp) + 1e6) }, { run: 'drain' });
      await command.operator.send({ ...lease, stamp: '' }, { run: 'drain' });
      await command.operator.send({ ...lease, stamp: 'NaN' }, { run: 'drain' });
      await until(() =>
        a.log.matching(/was refused/).some(({ fields }) => fields['why'] === 'it is too old, or a copy'),
      );
      expect((await two.call('ping')).response.status).toBe(200);
      expect(isServing(a)).toBe(true);
    },
  );
});

describe('one instance', () => {
  const order: OrderMessage = { kind: 'order', run: 'drain', to: 'me', stamp: '5', nonce: 'n', by: 'a@b pid 1' };

  function receiver(stamp: string | undefined) {
    const [log, time] = [createLog(), createFakeTime()];
    const done: string[] = [];
    const read = () => (stamp === undefined ? undefined : { id: 'me', state: 'serving' as const, version: '1', stamp });
    const orders = new Orders({ directory: { read }, logger: log, time });
    const taken = { drain: () => void done.push('drain'), end: async (id: string) => void done.push(id) };
    const take = (change: Partial<OrderMessage> = {}) =>
      orders.take({ ...order, ...change } as OrderMessage, 'me', taken);
    return { log, done, take };
  }

  test.each([
    ['of the present stamp', '5', 1],
    ['of ten renewals ago', '15', 1],
    ['of eleven renewals ago', '16', 0],
    ['of a stamp to come', '4', 0],
    ['without a lease', undefined, 0],
  ])('an order %s', async (_name, stamp, count) => {
    const { done, take } = receiver(stamp);
    await take();
    expect(done).toHaveLength(count);
    await take();
    expect(done).toHaveLength(count);
    await take({ nonce: 'other', to: 'you' });
    expect(done).toHaveLength(count);
  });

  test('what the sender calls itself cannot write into the log', async () => {
    const { log, take } = receiver('5');
    await take({ run: 'end', session: 's', by: `\u001b[2J\n${'x'.repeat(500)}` });
    const [line] = log.matching(/as sojourn sessions end ordered/);
    // oxlint-disable-next-line no-control-regex
    expect(String(line?.fields['by'])).toMatch(/^[^\u0000-\u001f]{10,80}$/);
  });

  test('in one process, where messages are not signed, there are no orders', async () => {
    const store = memory();
    const [a] = (await serveFleet(1, { store })) as [Member];
    const client = a.client();
    await client.initialize();
    const { view } = await commandOn(store);
    const { stamp = '' } = (await view.instances.read(a.id)) ?? expect.fail('no lease');
    const ordered = { kind: 'order', to: a.id, stamp, by: 'me' };
    await view.instances.send('other', a.id, { ...ordered, nonce: '1', run: 'drain' });
    await view.instances.send('other', a.id, { ...ordered, nonce: '2', run: 'end', session: client.sessionId });
    expect((await client.call('ping')).response.status).toBe(200);
    expect(isServing(a)).toBe(true);
  });
});
