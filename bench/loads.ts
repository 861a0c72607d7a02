/** The works of the load client: which works run, on which server, and what `--json` prints of a report. */
import { installed } from '../tools/installed.ts';
import type { BenchArguments } from './arguments.ts';
import type { LoadClient } from './load-client.ts';
import { keep } from './kept.ts';
import { type WorkReport, reportWork } from './report.ts';
import { runRounds, type RoundsOptions } from './rounds.ts';
import type { Runtime } from './runtimes.ts';
import { summarize } from './statistics.ts';
import { startStore } from './store-servers.ts';
import { type Work, withBaseline, works } from './works.ts';

export async function measureWork(
  work: Work,
  runtime: Runtime,
  client: LoadClient,
  options: Omit<RoundsOptions, 'env' | 'storeCpuUs'>,
): Promise<WorkReport> {
  if (work.id === 'others') await installed('others');
  const results = await onItsStore(work, (store) => runRounds(work, runtime, client, { ...options, ...store }));
  return reportWork(work, runtime, results);
}

/** The part of a report that the charts show. */
export function keepWork({ work, runtime, results }: WorkReport): void {
  if (work.id !== 'stateful' && work.id !== 'modern') return;
  const figure = work.id === 'stateful' ? 'requestsPerS' : 'cpuUsPerRequest';
  const bars = results.map(({ side, rounds }) => ({
    label: side.title,
    value: summarize(rounds.map((round) => round[figure])).median,
  }));
  keep(work.id, { title: `Node ${String(runtime.major)}`, bars });
}

/** Starts the store's server for the time of its work. */
async function onItsStore<T>(
  { store }: Work,
  run: (store: Pick<RoundsOptions, 'env' | 'storeCpuUs'>) => Promise<T>,
): Promise<T> {
  if (store === undefined) return run({ env: {}, storeCpuUs: () => 0 });
  const server = await startStore(store);
  try {
    return await run({ env: { BENCH_STORE: server.url }, storeCpuUs: server.cpuUs });
  } finally {
    await server.close();
  }
}

export function jsonOf({ work, runtime, results, ratios }: WorkReport): object {
  return {
    work: work.id,
    title: work.title,
    node: runtime.version,
    sides: results.map(({ side, rounds }) => ({ id: side.id, title: side.title, rounds })),
    ratios,
  };
}

export function selectWorks({ only, sides, baseline }: BenchArguments): Work[] {
  const unknown = only.filter((id) => !works.some((work) => work.id === id));
  if (unknown.length > 0) throw new Error(`unknown work: ${unknown.join(', ')}`);
  return works
    .filter(({ id, asked }) => (only.length === 0 ? asked !== true : only.includes(id)))
    .map((work) => (baseline === undefined ? work : withBaseline(work, baseline)))
    .map((work) => ({
      ...work,
      sides: work.sides.filter(({ id }) => sides.length === 0 || sides.includes(id)),
    }))
    .filter((work) => work.sides.length > 0);
}
