// @module-tag matrix
import { createCluster } from 'redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ClusterServer } from '../../packages/redis/src/cluster-server.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { backendTests, contractTests, storeContract } from './contract.ts';
import { startCluster, type ClusterNode, type TestCluster } from './redis-cluster.ts';
import {
  announce,
  channelOf,
  FENCE,
  keysOf,
  newName,
  openBackends,
  openedServer,
  openView,
  recordOf,
  replicated,
} from './redis-views.ts';

const LEASE_MS = 1_500;

/** Ids whose rows are in slots of each third of the Cluster. */
const ids = Array.from({ length: 12 }, (_, n) => `s${n}`);

const rowOf = (name: string, id: string): string => keysOf(name, id).row;

const slotOf = async ({ nodes }: TestCluster, key: string): Promise<string> =>
  String(await nodes[0]?.ask('CLUSTER', 'KEYSLOT', key));

/** Three primaries share the slots. */
const nodeOf = async (cluster: TestCluster, key: string): Promise<ClusterNode> =>
  cluster.nodes[Math.floor((Number(await slotOf(cluster, key)) * 3) / 16_384)] as ClusterNode;

/** One of `ids` whose key or channel is on this node. */
async function idOn(
  cluster: TestCluster,
  node: ClusterNode,
  keyOf: (id: string) => string,
): Promise<string> {
  for (const id of ids) if ((await nodeOf(cluster, keyOf(id))) === node) return id;
  throw new Error('the ids are on all nodes');
}

/** With its keys, while it is used. `half`: once the target has all keys, and not yet the slot. */
async function moveSlot(
  { nodes }: TestCluster,
  slot: string,
  source: ClusterNode,
  target: ClusterNode,
  half?: () => Promise<unknown>,
): Promise<void> {
  await target.ask('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id);
  await source.ask('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id);
  for (;;) {
    const keys = (await source.ask('CLUSTER', 'GETKEYSINSLOT', slot, '2')) as string[];
    if (keys.length === 0) break;
    await source.ask(
      'MIGRATE',
      '127.0.0.1',
      String(target.server.port),
      '',
      '0',
      '5000',
      'KEYS',
      ...keys,
    );
  }
  await half?.();
  for (const node of [target, source, ...nodes.filter((one) => one !== target && one !== source)])
    await node.ask('CLUSTER', 'SETSLOT', slot, 'NODE', target.id);
}

describeWhereInstalled('redis', 'the Redis store on a Cluster', () => {
  test('slots that move while they are written to lose nothing and keep their order', async () => {
    const cluster = await startCluster();
    const [from, to] = cluster.nodes as readonly [ClusterNode, ClusterNode];
    // The nodes name each other by their ports alone.
    for (const { ask } of cluster.nodes)
      await ask('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'unknown-endpoint');
    const hosts = new Set<string>();
    const client = createCluster({
      rootNodes: [{ url: from.server.url }],
      nodeAddressMap: (address) => void hosts.add(address.slice(0, address.lastIndexOf(':'))),
    });
    const name = newName();
    const view = await openView(redis(client), { deployment: name });
    const id = await idOn(cluster, from, (one) => rowOf(name, one));
    await view.records.create(recordOf(id));
    let next = 0;
    let moving = true;
    const refused: unknown[] = [];
    const writing = (async () => {
      while (moving) {
        // A write that meets a half-moved slot gets TRYAGAIN and is sent again.
        const outcome = await Promise.resolve(
          view.records.append({
            id: id,
            fence: FENCE,
            stream: 'g',
            from: next,
            events: [`${next}`],
          }),
        ).catch((error: unknown) => refused.push(error));
        if (outcome === 'written') next += 1;
      }
    })();
    const slot = await slotOf(cluster, rowOf(name, id));
    await until(() => next > 20);
    for (const [source, target] of [
      [from, to],
      [to, from],
    ] as const) {
      await moveSlot(cluster, slot, source, target, async () => {
        // As a node that gets its first slot: it has none of the store's scripts.
        await target.ask('SCRIPT', 'FLUSH');
        const before = next;
        await until(() => next > before + 20);
      });
      const before = next;
      await until(() => next > before + 20);
    }
    moving = false;
    await writing;
    expect([refused, [...hosts]]).toEqual([[], ['127.0.0.1']]);
    const replay = await view.records.replay(id, 'g', -1);
    expect(replay.found && replay.events.map(({ data }) => Number(data))).toEqual(
      Array.from({ length: next }, (_, n) => n),
    );
  });

  test('a mailbox whose slot moves is lost, and the next renewal finds it again', async () => {
    const cluster = await startCluster();
    const [first, second] = cluster.nodes as readonly [ClusterNode, ClusterNode];
    const name = newName();
    const view = await openView(redis(cluster.client), { deployment: name });
    const instance = await idOn(cluster, first, (one) => channelOf(name, one));
    const inbox = await announce(view, instance);
    expect(await view.instances.send('x', instance, { kind: 'call', n: 1 })).toBe('sent');
    const slot = await slotOf(cluster, channelOf(name, instance));
    await moveSlot(cluster, slot, first, second);
    await until(() => inbox.lost > 0);
    const other = await openView(redis(cluster.client), { deployment: name });
    expect(await other.instances.send('x', instance, { kind: 'call', n: 2 })).toBe('suspect');
    expect(await view.instances.renew(instance, 'serving')).toBe(true);
    expect(await view.instances.send('x', instance, { kind: 'call', n: 3 })).toBe('sent');
    await until(() => inbox.messages.length === 2);
    expect(inbox.messages.map(({ n }) => n)).toEqual([1, 3]);
  });

  test('while one node is away the sessions of the other nodes work; the node comes back by itself', async () => {
    const cluster = await startCluster();
    const [away] = cluster.nodes as readonly [ClusterNode];
    const name = newName();
    const view = await openView(redis(cluster.client), { deployment: name, leaseMs: LEASE_MS });
    const homes = new Map<string, ClusterNode>();
    for (const id of ids) homes.set(id, await nodeOf(cluster, rowOf(name, id)));
    expect(new Set(homes.values()).size).toBe(3);
    for (const id of ids) await view.records.create(recordOf(id));
    expect((await view.records.list(100)).records).toHaveLength(ids.length);
    away.server.pause();
    const outcomes = await Promise.all(
      ids.map(
        async (id) =>
          [id, await (async () => view.records.save(id, FENCE, {}))().catch(() => 'away')] as const,
      ),
    );
    for (const [id, outcome] of outcomes)
      expect(outcome, id).toBe(homes.get(id) === away ? 'away' : 'written');
    away.server.resume();
    const read = async (id: string) => view.records.read(id);
    await until(async () => (await Promise.all(ids.map(read))).length, { timeoutMs: 15_000 });
  });

  test('the clock does not wait twice for a node that does not answer', async () => {
    const { client, nodes } = await startCluster(2);
    const server = await openedServer(
      (settings) => new ClusterServer(client, settings),
      newName(),
      LEASE_MS,
    );
    nodes[0]?.server.pause();
    await server.time();
    const began = performance.now();
    await server.time();
    expect(performance.now() - began).toBeLessThan(LEASE_MS);
    nodes[0]?.server.resume();
  });

  test('the replica of a dead node takes over its sessions, leases and mailboxes', async () => {
    const cluster = await startCluster();
    const [dies] = cluster.nodes as readonly [ClusterNode];
    const replica = await cluster.addReplica(dies);
    const name = newName();
    const view = await openView(redis(cluster.client), { deployment: name, leaseMs: LEASE_MS });
    const instance = await idOn(cluster, dies, (id) => channelOf(name, id));
    const inbox = await announce(view, instance);
    for (const id of ids) await view.records.create(recordOf(id));
    await replicated(dies.ask, replica.ask);
    await dies.server.killed();
    const late = await openView(redis(cluster.client), { deployment: name, leaseMs: LEASE_MS });
    await until(() => inbox.lost > 0);
    // The election of Redis needs a second round on a busy machine.
    for (const { records } of [view, late]) {
      const read = async (id: string) => records.read(id);
      await until(async () => (await Promise.all(ids.map(read))).every(Boolean), {
        timeoutMs: 45_000,
      });
    }
    // A node that has not heard of the election names the dead one.
    const living = cluster.nodes.filter((node) => node !== dies);
    const isPrimary = new RegExp(`^${replica.id} .*master `, 'm');
    const views = async () => Promise.all(living.map(({ ask }) => ask('CLUSTER', 'NODES')));
    await until(async () => (await views()).every((nodes) => isPrimary.test(String(nodes))));
    for (const id of ids)
      expect(await view.records.save(id, FENCE, { head: 'info' })).toBe('written');
    // Its lease may have expired during the failover.
    expect(await view.instances.renew(instance, 'serving')).toBe(false);
    const next = await announce(view, `${instance}-next`);
    expect(await view.instances.send('x', `${instance}-next`, { kind: 'call', n: 1 })).toBe('sent');
    await until(() => next.messages.length === 1);
  }, 90_000);
});

describeWhereInstalled('redis', 'the Redis store keeps the contract on a Cluster', () => {
  let stop: (() => Promise<void>) | undefined;
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startCluster(3, (gone) => (stop = gone));
  });
  afterAll(() => stop?.());

  contractTests(storeContract, () => ({ connect: () => redis(cluster.client) }));
  backendTests(() => openBackends((settings) => new ClusterServer(cluster.client, settings)));
});
