/**
 * Attacks on the orders that the command line sends to instances, by one who can write into the store and knows what
 * was sent before. `forged-messages.test.ts` has orders without the key or with another one.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Ordered, takeOrder } from '../../src/cluster/orders.ts';
import { sendOrder } from '../../src/cli/records/orders.ts';
import { openEndpointStore } from '../../src/endpoint/endpoint-store.ts';
import { resolveOptions } from '../../src/options/resolve.ts';
import type { EndpointStore } from '../../src/session/record/record-kinds.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { InstanceMessage, Store } from '../../src/stores/store.ts';
import { serveFleet, type FleetOptions, type Member } from '../kit/fleet.ts';
import { createLog } from '../kit/log.ts';
import { durableKinds, sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

const LEASE_MS = 30_000;

useSharedStores();

interface Sent {
  readonly from: string;
  readonly to: string;
  readonly message: InstanceMessage;
}

/** A view of the store as a command has it. `sent`: what it sent, signed. */
async function commandOn(store: Store) {
  const options = resolveOptions({ logger: createLog() });
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
  return {
    view,
    sent,
    order: (to: string, ordered: Ordered) => sendOrder(watched, options, to, ordered),
    again: ({ from, to, message }: Sent) => instances.send(from, to, message),
  };
}

const fleet = <Size extends number>(store: () => Store, size: Size, options: FleetOptions = {}) =>
  serveFleet(size, { store, leaseMs: LEASE_MS, ...options });

const isServing = ({ endpoint }: Member): boolean => endpoint.health().state === 'serving';

describe.each(durableKinds)('on %s', (kind) => {
  test('a copy of an order does no harm, and neither does an order for an id of before', async () => {
    const connect = sharedStore(kind);
    const [a] = await fleet(connect, 1);
    const command = await commandOn(connect());
    const [one, two] = [a.client(), a.client()];
    for (const client of [one, two]) await client.initialize();
    await command.order(a.id, { run: 'end', session: one.sessionId ?? '' });
    await until(async () => (await one.call('ping')).response.status === 404, { what: 'the end' });
    await command.order('an-earlier-id', { run: 'drain' });
    for (const order of command.sent) {
      await command.again(order);
      await command.again({ ...order, to: a.id });
    }
    await until(() => a.log.matching(/^A message between instances was refused/).length > 0);
    expect((await two.call('ping')).response.status).toBe(200);
    expect(isServing(a)).toBe(true);
  });
});

describe('one instance', () => {
  test('what the sender calls itself cannot write into the log', async () => {
    const log = createLog();
    const order = { kind: 'order', run: 'end', session: 's', by: `\u001b[2J\n${'x'.repeat(500)}` } as const;
    await takeOrder(order, { drain: () => {}, end: async () => {} }, log);
    const [line] = log.matching(/as sojourn sessions end ordered/);
    // oxlint-disable-next-line no-control-regex
    expect(String(line?.fields['by'])).toMatch(/^[^\u0000-\u001f]{10,80}$/);
  });

  test('in one process, where messages are not signed, there are no orders', async () => {
    const store = memory();
    const [a] = await serveFleet(1, { store });
    const client = await a.openSession();
    const { view } = await commandOn(store);
    await view.instances.send('other', a.id, { kind: 'order', by: 'me', run: 'drain' });
    await view.instances.send('other', a.id, { kind: 'order', by: 'me', run: 'end', session: client.sessionId });
    expect((await client.call('ping')).response.status).toBe(200);
    expect(isServing(a)).toBe(true);
  });
});
