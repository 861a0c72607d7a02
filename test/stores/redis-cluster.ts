/** A Redis Cluster for tests: primaries that share all slots, and the operations of tests on it. */
import { createClient, createCluster } from 'redis';
import { onTestFinished } from 'vitest';
import { freePort, startServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';

const SLOTS = 16_384;

export interface ClusterNode {
  readonly server: TestServer;
  readonly busPort: number;
  readonly id: string;
  ask(...args: readonly string[]): Promise<unknown>;
}

export interface TestCluster {
  readonly nodes: readonly ClusterNode[];
  /** A client as a caller makes it; not connected. */
  readonly client: ReturnType<typeof createCluster>;
  /** One more node, as a replica of another. */
  addReplica(of: ClusterNode): Promise<ClusterNode>;
}

const ARGS = [
  '--cluster-enabled',
  'yes',
  '--cluster-node-timeout',
  '1000',
  '--cluster-require-full-coverage',
  'no',
];

async function startNode(): Promise<ClusterNode> {
  const busPort = await freePort();
  const server = await startServer('redis', { args: [...ARGS, '--cluster-port', String(busPort)] });
  // Duplicates share a class, which takes long to make.
  const template = createClient({ url: server.url, RESP: 2 });
  const ask = async (...args: readonly string[]): Promise<unknown> => {
    const client = await template
      .duplicate()
      .on('error', () => undefined)
      .connect();
    try {
      return await client.sendCommand([...args]);
    } finally {
      client.destroy();
    }
  };
  return { server, busPort, id: String(await ask('CLUSTER', 'MYID')), ask };
}

/** Removed when the test is over, or when `finished` runs. */
export async function startCluster(
  primaries = 3,
  finished: (gone: () => Promise<void>) => unknown = onTestFinished,
): Promise<TestCluster> {
  const nodes: ClusterNode[] = [];
  finished(async () => {
    for (const { server } of nodes) await server.close();
  });
  for (let n = 0; n < primaries; n++) nodes.push(await startNode());
  for (const [n, { ask }] of nodes.entries()) {
    const [from, to] = [
      Math.floor((n * SLOTS) / primaries),
      Math.floor(((n + 1) * SLOTS) / primaries) - 1,
    ];
    await ask('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
    await ask('CLUSTER', 'SET-CONFIG-EPOCH', String(n + 1));
  }
  const [first, ...others] = nodes;
  for (const { ask } of others)
    await ask('CLUSTER', 'MEET', '127.0.0.1', String(first?.server.port), String(first?.busPort));
  const facts = [`cluster_known_nodes:${primaries}`, 'cluster_state:ok'];
  await until(
    async () => {
      const infos = await Promise.all(nodes.map(({ ask }) => ask('CLUSTER', 'INFO')));
      return infos.every((info) => facts.every((fact) => String(info).includes(fact)));
    },
    { timeoutMs: 40_000, what: 'the nodes know each other, and the Cluster serves' },
  );
  const rootNodes = nodes.map(({ server }) => ({ url: server.url }));
  return {
    nodes,
    client: createCluster({ rootNodes }),
    async addReplica(of) {
      const node = await startNode();
      nodes.push(node);
      await node.ask('CLUSTER', 'MEET', '127.0.0.1', String(of.server.port), String(of.busPort));
      await until(async () => String(await node.ask('CLUSTER', 'NODES')).includes(of.id));
      await until(async () => (await node.ask('CLUSTER', 'REPLICATE', of.id)) === 'OK');
      await until(
        async () => String(await node.ask('INFO', 'replication')).includes('master_link_status:up'),
        {
          timeoutMs: 20_000,
          what: 'the replica follows',
        },
      );
      // A primary that does not know the replica gives it no vote, and learns of it from `of`, which may die next.
      await until(
        async () => {
          const views = await Promise.all(nodes.map(({ ask }) => ask('CLUSTER', 'NODES')));
          return views.every((view) =>
            new RegExp(`^${node.id} .*slave ${of.id} `, 'm').test(String(view)),
          );
        },
        { timeoutMs: 20_000, what: 'every node knows the replica' },
      );
      return node;
    },
  };
}
