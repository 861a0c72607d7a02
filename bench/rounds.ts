import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LoadClient } from './load.ts';
import { summarize } from './report.ts';
import { type Node, ServerProcess } from './server-process.ts';
import { cpuUsOf, foreignShare } from './usage.ts';
import { type RunningStore, type Side, startStore, type Work } from './works.ts';

/** What one request cost in one slice. */
export interface Slice {
  /** Time of the load over its requests: the reciprocal of requests/µs, whatever the number of connections. */
  readonly wallUs: number;
  readonly cpuUs: number;
  /** CPU time of the store's server. */
  readonly storeUs: number;
}

export interface Round {
  readonly slices: readonly Slice[];
  readonly p99Ms: number;
  /** Share of the machine that other programs used. */
  readonly others: number;
}

export interface SideResult {
  readonly side: Side;
  readonly rounds: readonly Round[];
}

export interface RoundsOptions {
  readonly node: Node;
  readonly rounds: number;
  /** Of each side in a round. */
  readonly slices: number;
  readonly progress: (text: string) => void;
}

/** Short beside what the machine does else, which changes in seconds, and long beside the turns of an event loop. */
const SLICE_MS = 100;
/** What a server does after its last answer belongs to the slice. */
const AFTER_MS = 2;
/**
 * A call gets cheaper for some ten thousand requests. Where they are expensive, the CPU time ends the warm-up: on a busy
 * machine a time would leave the compiler with less to go by.
 */
const WARM_UP = 16_000;
const WARM_UP_US = 2_000_000;

interface Running {
  readonly result: { readonly side: Side; readonly rounds: Round[] };
  readonly server: ServerProcess;
  readonly client: LoadClient;
  readonly slices: Slice[];
  readonly times: number[];
}

/**
 * Runs all sides of a work. Every round starts a process for each side, because two processes of the same code differ by
 * some per cent for as long as they live, and warms it up. Then the sides are asked for a slice each, in turns.
 */
export async function runRounds(
  work: Work,
  connections: number,
  options: RoundsOptions,
): Promise<SideResult[]> {
  const results = work.sides.map((side) => ({ side, rounds: [] as Round[] }));
  const store = await openStore(work);
  try {
    for (let round = 1; round <= options.rounds; round++) {
      options.progress(`${work.id}, round ${round} of ${options.rounds}`);
      // Who starts first, and is first warm, has rested longest when it is measured.
      await runRound(
        work,
        round % 2 === 0 ? results.toReversed() : results,
        store,
        connections,
        options,
      );
    }
  } finally {
    await store?.close();
  }
  return results;
}

async function runRound(
  work: Work,
  results: readonly Running['result'][],
  store: RunningStore | undefined,
  connections: number,
  { node, slices }: RoundsOptions,
): Promise<void> {
  const servers: ServerProcess[] = [];
  const running: Running[] = [];
  try {
    for (const result of results) {
      const env = { ...result.side.env, ...(store && { BENCH_STORE: store.url }) };
      const server = await ServerProcess.start(node, { script: result.side.script, env });
      servers.push(server);
      const client = new LoadClient(await work.load(server.port), connections);
      running.push({ result, server, client, slices: [], times: [] });
    }
    for (const side of running) await warmUp(side);
    const used = async (): Promise<number> => {
      const each = await Promise.all(servers.map((server) => server.cpuUs()));
      return each.reduce((sum, us) => sum + us, storeCpuUs(store));
    };
    const [share, before] = [foreignShare(), await used()];
    for (let slice = 0; slice < slices; slice++)
      for (const side of slice % 2 === 0 ? running : running.toReversed())
        await measure(side, store);
    const others = share((await used()) - before);
    for (const { result, slices: each, times } of running)
      result.rounds.push({ slices: each, p99Ms: summarize(times).p99, others });
  } finally {
    for (const { client } of running) client.close();
    await Promise.all(servers.map((server) => server.stop()));
  }
}

export async function warmUp({
  server,
  client,
}: Pick<Running, 'server' | 'client'>): Promise<void> {
  const end = (await server.cpuUs()) + WARM_UP_US;
  let answered = 0;
  while (answered < WARM_UP && (await server.cpuUs()) < end)
    answered += (await client.run(SLICE_MS)).length;
}

const storeCpuUs = (store: RunningStore | undefined): number =>
  (store?.processes ?? []).reduce((sum, pid) => sum + cpuUsOf(pid), 0);

async function measure(
  { server, client, slices, times }: Running,
  store: RunningStore | undefined,
): Promise<void> {
  const [storeBefore, before, began] = [storeCpuUs(store), await server.cpuUs(), performance.now()];
  const answered = await client.run(SLICE_MS);
  const wallUs = (performance.now() - began) * 1_000;
  await new Promise((resolve) => setTimeout(resolve, AFTER_MS));
  const [cpuUs, storeUs] = [(await server.cpuUs()) - before, storeCpuUs(store) - storeBefore];
  const { length } = answered;
  slices.push({ wallUs: wallUs / length, cpuUs: cpuUs / length, storeUs: storeUs / length });
  for (const ms of answered) times.push(ms);
}

export async function openStore({
  store,
}: {
  readonly store?: Work['store'] | undefined;
}): Promise<RunningStore | undefined> {
  if (store !== 'sqlite') return store && startStore(store);
  const folder = mkdtempSync(join(tmpdir(), 'bench-store-'));
  return {
    url: `sqlite:${join(folder, 'sessions.db')}`,
    processes: [],
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
