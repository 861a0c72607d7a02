import { existsSync } from 'node:fs';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type BenchArguments, parseArguments, usage } from './arguments.ts';
import { formatDeaths, measureDeaths } from './deaths.ts';
import { findLoadClient } from './load-client.ts';
import { type Machine, describeMachine } from './machine.ts';
import { QuietTime } from './quiet-time.ts';
import { type WorkReport, formatWork, reportWork } from './report.ts';
import { runRounds, type RoundsOptions } from './rounds.ts';
import { startStore } from './store-servers.ts';
import { findRuntime } from './runtimes.ts';
import { formatBig, measureBig } from './big.ts';
import { formatStreams, measureStreams } from './streams.ts';
import { formatSessions, measureSessions } from './sessions.ts';
import { formatWorkers, measureWorkers } from './workers.ts';
import { type Work, withBaseline, works } from './works.ts';

async function main(argv: readonly string[]): Promise<void> {
  const args = parseArguments(argv);
  if (args.command === 'help') {
    console.log(usage);
    return;
  }
  requireBuild(args);
  // Servers and load client inherit it.
  if (args.nice !== 0) setPriority(args.nice);
  const machine = describeMachine();
  if (args.command === 'sessions') await runSessions(args, machine);
  else if (args.command === 'workers') await runWorkers(args, machine);
  else if (args.command === 'deaths') await runDeaths(args, machine);
  else if (args.command === 'streams') await runStreams(args, machine);
  else if (args.command === 'big') await runBig(args, machine);
  else await runLoads(args, machine);
}

async function runSessions(args: BenchArguments, machine: Machine): Promise<void> {
  const reports = [];
  for (const runtime of args.nodes.map(findRuntime))
    reports.push(await measureSessions(runtime, args.sides, args.hibernated));
  if (args.json) return printJson({ machine, sessions: reports });
  console.log(`${machineLine(machine)}\n`);
  for (const report of reports) console.log(`${formatSessions(report)}\n`);
}

async function runWorkers(args: BenchArguments, machine: Machine): Promise<void> {
  if (!args.json) console.log(`${machineLine(machine)}\n`);
  const quiet = new QuietTime(args.patienceS * 1000);
  const reports = [];
  for (const runtime of args.nodes.map(findRuntime)) {
    for (const store of args.stores) {
      const report = await measureWorkers(runtime, store, { ...args, quiet });
      reports.push(report);
      if (!args.json) console.log(`${formatWorkers(report)}\n`);
    }
  }
  if (args.json) printJson({ machine, workers: reports });
}

async function runDeaths(args: BenchArguments, machine: Machine): Promise<void> {
  if (!args.json) console.log(`${machineLine(machine)}\n`);
  const quiet = new QuietTime(args.patienceS * 1000);
  const reports = [];
  for (const runtime of args.nodes.map(findRuntime)) {
    for (const store of args.stores) {
      const report = await measureDeaths(runtime, store, { ...args, quiet }, progress);
      progress('');
      reports.push(report);
      if (!args.json) console.log(`${formatDeaths(report)}\n`);
    }
  }
  if (args.json) printJson({ machine, deaths: reports });
}

async function runStreams(args: BenchArguments, machine: Machine): Promise<void> {
  if (!args.json) console.log(`${machineLine(machine)}\n`);
  const quiet = new QuietTime(args.patienceS * 1000);
  const reports = [];
  for (const runtime of args.nodes.map(findRuntime)) {
    const report = await measureStreams(runtime, { ...args, quiet });
    reports.push(report);
    if (!args.json) console.log(`${formatStreams(report)}\n`);
  }
  if (args.json) printJson({ machine, streams: reports });
}

async function runBig(args: BenchArguments, machine: Machine): Promise<void> {
  if (!args.json) console.log(`${machineLine(machine)}\n`);
  const quiet = new QuietTime(args.patienceS * 1000);
  const reports = [];
  for (const runtime of args.nodes.map(findRuntime)) {
    const report = await measureBig(runtime, { ...args, quiet });
    reports.push(report);
    if (!args.json) console.log(`${formatBig(report)}\n`);
  }
  if (args.json) printJson({ machine, big: reports });
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}

async function runLoads(args: BenchArguments, machine: Machine): Promise<void> {
  const client = findLoadClient();
  const load = `${client.description}, ${String(args.connections)} connections, ${String(args.durationS)} s, median of ${String(args.rounds)} rounds after a warm-up`;
  if (!args.json) console.log(`${machineLine(machine)}\n${load}\n`);
  const quiet = new QuietTime(args.patienceS * 1000);
  const reports: WorkReport[] = [];
  for (const runtime of args.nodes.map(findRuntime)) {
    for (const work of selectWorks(args)) {
      const results = await onItsStore(work, (store) =>
        runRounds(work, runtime, client, { ...args, quiet, progress, ...store }),
      );
      progress('');
      const report = reportWork(work, runtime, results);
      reports.push(report);
      if (!args.json) console.log(`${formatWork(report)}\n`);
    }
  }
  if (args.json) printJson({ machine, load, works: reports.map(jsonOf) });
}

/** The store's server runs as long as its work. */
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

function jsonOf({ work, runtime, results, ratios }: WorkReport): object {
  return {
    work: work.id,
    title: work.title,
    node: runtime.version,
    sides: results.map(({ side, rounds }) => ({ id: side.id, title: side.title, rounds })),
    ratios,
  };
}

function selectWorks({ only, sides, baseline }: BenchArguments): Work[] {
  const unknown = only.filter((id) => !works.some((work) => work.id === id));
  if (unknown.length > 0) throw new Error(`unknown work: ${unknown.join(', ')}`);
  return works
    .filter(({ id }) => only.length === 0 || only.includes(id))
    .map((work) => (baseline === undefined ? work : withBaseline(work, baseline)))
    .map((work) => ({
      ...work,
      sides: work.sides.filter(({ id }) => sides.length === 0 || sides.includes(id)),
    }))
    .filter((work) => work.sides.length > 0);
}

/** The servers under test run what is published: plain JavaScript from `dist/`. */
function requireBuild(args: BenchArguments): void {
  const needed =
    ['workers', 'deaths', 'streams', 'big'].includes(args.command) ||
    (args.command === 'sessions'
      ? args.sides.length === 0 || args.sides.some((id) => id.startsWith('ours'))
      : selectWorks(args).some(usesBuild));
  const entry = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  if (needed && process.env['BENCH_DIST'] === undefined && !existsSync(entry))
    throw new Error('dist/index.js is missing: npm run build');
}

const usesBuild = (work: Work): boolean => work.sides.some(({ server }) => server.script.startsWith('ours'));

function machineLine({ cpu, cores, memoryGiB, system, loadAverage, versions }: Machine): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${String(cores)} × ${cpu}, ${String(memoryGiB)} GiB, ${system}, load ${loadAverage.toFixed(2)}\n${packages.join(', ')}`;
}

function printJson(value: unknown): void {
  console.log(JSON.stringify(value, undefined, 2));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
