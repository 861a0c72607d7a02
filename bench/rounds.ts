import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Load, runLoad } from './load.ts';
import { type Node, ServerProcess } from './server-process.ts';
import { cpuUsOf, foreignShare } from './usage.ts';
import { type RunningStore, type Side, startStore, type Work } from './works.ts';

export interface Measurement {
  /** Time of the load over its requests: the reciprocal of requests/µs, whatever the number of connections. */
  readonly wallUs: number;
  readonly cpuUs: number;
  /** CPU time of the store's server. */
  readonly storeUs: number;
  readonly p99Ms: number;
  /** Share of the machine that other programs used. */
  readonly others: number;
}

export interface SideResult {
  readonly side: Side;
  readonly rounds: readonly Measurement[];
}

export interface RoundsOptions {
  readonly node: Node;
  readonly rounds: number;
  /** Calls at once. */
  readonly connections: number;
  /** Of each side in a round. */
  readonly requests: number;
  readonly progress: (text: string) => void;
}

/** A round is cut into slices, in which the sides take turns: what the machine does beside them changes in seconds. */
const SLICES = 10;
/** The requests before those that are measured, as a multiple: a call gets cheaper for some ten thousand requests. */
const WARM_UP = 2;

interface Running {
  readonly result: { readonly side: Side; readonly rounds: Measurement[] };
  readonly server: ServerProcess;
  readonly load: Load;
  readonly slices: Measurement[];
}

/**
 * Runs all sides of a work. Every round starts a process for each side, because two processes of the same code differ by
 * some per cent for as long as they live, and warms it up. All sides answer the same number of requests: on a busy
 * machine a time would leave the compiler with less to go by.
 */
export async function runRounds(work: Work, options: RoundsOptions): Promise<SideResult[]> {
  const results = work.sides.map((side) => ({ side, rounds: [] as Measurement[] }));
  const store = await openStore(work);
  try {
    for (let round = 1; round <= options.rounds; round++) {
      options.progress(`${work.id}, round ${round} of ${options.rounds}`);
      // Who starts first, and is first warm, has rested longest when it is measured.
      await runRound(work, round % 2 === 0 ? results.toReversed() : results, store, options);
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
  { node, requests, connections }: RoundsOptions,
): Promise<void> {
  const each = Math.ceil((requests * (work.share ?? 1)) / SLICES);
  const running: Running[] = [];
  try {
    for (const result of results) {
      const env = { ...result.side.env, ...(store && { BENCH_STORE: store.url }) };
      const server = await ServerProcess.start(node, { script: result.side.script, env });
      running.push({ result, server, load: await work.load(server.port), slices: [] });
    }
    for (const { load } of running) await runLoad(load, each * SLICES * WARM_UP, connections);
    for (let slice = 0; slice < SLICES; slice++)
      for (const side of slice % 2 === 0 ? running : running.toReversed())
        side.slices.push(await measure(side, each, store, connections));
    for (const { result, slices } of running) result.rounds.push(meanOf(slices));
  } finally {
    await Promise.all(running.map(({ server }) => server.stop()));
  }
}

async function measure(
  { server, load }: Running,
  requests: number,
  store: RunningStore | undefined,
  connections: number,
): Promise<Measurement> {
  const storeCpu = (): number => (store?.processes ?? []).reduce((sum, pid) => sum + cpuUsOf(pid), 0);
  const [share, storeBefore, before] = [foreignShare(), storeCpu(), await server.cpuUs()];
  const { seconds, p99Ms } = await runLoad(load, requests, connections);
  const [cpuUs, storeUs] = [(await server.cpuUs()) - before, storeCpu() - storeBefore];
  const others = share(cpuUs + storeUs);
  return { wallUs: (seconds * 1e6) / requests, cpuUs: cpuUs / requests, storeUs: storeUs / requests, p99Ms, others };
}

function meanOf(slices: readonly Measurement[]): Measurement {
  const mean = (key: keyof Measurement): number => slices.reduce((sum, slice) => sum + slice[key], 0) / slices.length;
  return {
    wallUs: mean('wallUs'),
    cpuUs: mean('cpuUs'),
    storeUs: mean('storeUs'),
    p99Ms: mean('p99Ms'),
    others: mean('others'),
  };
}

async function openStore({ store }: Work): Promise<RunningStore | undefined> {
  if (store !== 'sqlite') return store && startStore(store);
  const folder = mkdtempSync(join(tmpdir(), 'bench-store-'));
  return {
    url: `sqlite:${join(folder, 'sessions.db')}`,
    processes: [],
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
