/** Two processes on one SQLite file beside one, and beside two with a file each, by how many calls run at once. */
import { formatTable } from '../src/cli/prove/table.ts';
import { LoadClient } from './load.ts';
import { summarize } from './report.ts';
import { sessionCalls } from './requests.ts';
import { openStore, warmUp } from './rounds.ts';
import { type Node, ServerProcess } from './server-process.ts';
import { selectWorks } from './works.ts';

/** Of all processes together: a commit of a turn holds as many calls as come at once. */
const AT_ONCE = [16, 64];
const SLICE_MS = 300;

interface Way {
  readonly title: string;
  /** The names under which its processes find their files. */
  readonly names: readonly (string | undefined)[];
}

const WAYS: readonly Way[] = [
  { title: 'one', names: [undefined] },
  { title: 'two, one file', names: ['shared', 'shared'] },
  { title: 'two, a file each', names: [undefined, undefined] },
];

interface Figures {
  readonly perSecond: number[];
  readonly cpuUs: number[];
}

async function slice(
  servers: readonly ServerProcess[],
  clients: readonly LoadClient[],
  { perSecond, cpuUs }: Figures,
): Promise<void> {
  const used = async (): Promise<number> => {
    const each = await Promise.all(servers.map((server) => server.cpuUs()));
    return each.reduce((sum, us) => sum + us, 0);
  };
  const [before, began] = [await used(), performance.now()];
  const answered = await Promise.all(clients.map((client) => client.run(SLICE_MS)));
  const calls = answered.reduce((sum, { length }) => sum + length, 0);
  perSecond.push((calls / (performance.now() - began)) * 1_000);
  cpuUs.push(((await used()) - before) / calls);
}

export async function measureWorkers(node: Node, rounds: number): Promise<string> {
  const [work] = selectWorks(['durable'], ['ours']);
  const [side] = work?.sides ?? [];
  const store = await openStore({ store: 'sqlite' });
  const started: ServerProcess[] = [];
  try {
    if (side === undefined) throw new Error('the work on SQLite has no side of ours');
    const ways = [];
    for (const { title, names } of WAYS) {
      const servers: ServerProcess[] = [];
      for (const name of names) {
        const env = {
          ...side.env,
          BENCH_STORE: store?.url ?? '',
          ...(name && { BENCH_NAME: name }),
        };
        const server = await ServerProcess.start(node, { script: side.script, env });
        started.push(server);
        servers.push(server);
      }
      ways.push({ title, servers });
    }
    const rows: string[][] = [];
    for (const atOnce of AT_ONCE) {
      const running = [];
      for (const { title, servers } of ways) {
        const clients = [];
        for (const server of servers) {
          const load = await sessionCalls(server.port, '2025-11-25');
          const client = new LoadClient(load, atOnce / servers.length);
          await warmUp({ server, client });
          clients.push(client);
        }
        running.push({ title, servers, clients, perSecond: [] as number[], cpuUs: [] as number[] });
      }
      for (let n = 0; n < rounds; n++)
        for (const way of running) await slice(way.servers, way.clients, way);
      const [one] = running;
      for (const { title, clients, perSecond, cpuUs } of running) {
        for (const client of clients) client.close();
        const ratios = perSecond.map((calls, n) => calls / (one?.perSecond[n] ?? Number.NaN));
        rows.push([
          `${title}, ${atOnce} at once`,
          summarize(perSecond).median.toFixed(0),
          summarize(ratios).median.toFixed(2),
          summarize(cpuUs).p10.toFixed(0),
        ]);
      }
    }
    return formatTable([['', 'calls/s', '÷ one', 'quiet µs'], ...rows]);
  } finally {
    await Promise.all(started.map((server) => server.stop()));
    await store?.close();
  }
}
