import { existsSync } from 'node:fs';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type BenchArguments, parseArguments, usage } from './arguments.ts';
import { formatBig, measureBig } from './big.ts';
import { drawCharts } from './charts.ts';
import { formatDeaths, keepDeaths, measureDeaths } from './deaths.ts';
import { formatFailOver, measureFailOver } from './fail-over.ts';
import { formatGrowth, keepGrowth, measureGrowth } from './growth.ts';
import { findLoadClient } from './load-client.ts';
import { jsonOf, keepWork, measureWork, selectWorks } from './loads.ts';
import { type Machine, describeMachine } from './machine.ts';
import { formatPublic, measurePublic } from './public.ts';
import { QuietTime } from './quiet-time.ts';
import { compareRecorded, formatRatios, recordedWorks, requireRecorded } from './ratio.ts';
import { formatWork, reportWork } from './report.ts';
import { runRounds } from './rounds.ts';
import { findRuntime, type Runtime } from './runtimes.ts';
import { formatSessions, measureSessions } from './sessions.ts';
import { formatSignatures, measureSignatures } from './signatures.ts';
import { formatStartup, measureStartup } from './startup.ts';
import type { StoreKind } from './store-servers.ts';
import { formatStores, measureStores } from './stores.ts';
import { formatStreams, measureStreams } from './streams.ts';
import { formatTasks, measureTasks } from './tasks.ts';
import type { Work } from './works.ts';
import { formatWorkers, measureWorkers } from './workers.ts';

/** A command's measurements: a report for each of its points, printed as soon as it is there. */
interface Bench<Point, Report> {
  readonly points: readonly Point[];
  /** Printed under the machine's line. */
  readonly note?: string;
  measure(point: Point): Promise<Report>;
  format(report: Report): string;
  /** The value for `--json`, where it is not the report. */
  json?(report: Report): unknown;
  /** Keeps a report for the charts. */
  keep?(report: Report): void;
}

interface OnStore {
  readonly runtime: Runtime;
  readonly store: StoreKind;
}

async function main(argv: readonly string[]): Promise<void> {
  const args = parseArguments(argv);
  if (args.command === 'help') return console.log(usage);
  if (args.command === 'charts') return console.log(drawCharts().join('\n'));
  requireBuild(args);
  // Servers and load client inherit it.
  if (args.nice !== 0) setPriority(args.nice);
  const runtimes = args.nodes.map(findRuntime);
  const onStores = runtimes.flatMap((runtime) => args.stores.map((store) => ({ runtime, store })));
  const options = { ...args, quiet: new QuietTime(args.patienceS * 1000) };
  switch (args.command) {
    case 'sessions':
      return run(args, {
        points: runtimes,
        measure: (runtime) => measureSessions(runtime, args.sides, args.hibernated, args.baseline),
        format: formatSessions,
      });
    case 'startup':
      return run(args, {
        points: runtimes,
        measure: (runtime) => measureStartup(runtime, options, progress),
        format: formatStartup,
      });
    case 'workers':
      return run(args, {
        points: onStores,
        measure: ({ runtime, store }: OnStore) => measureWorkers(runtime, store, options),
        format: formatWorkers,
      });
    case 'deaths':
      return run(args, {
        points: onStores,
        measure: ({ runtime, store }: OnStore) => measureDeaths(runtime, store, options, progress),
        format: formatDeaths,
        keep: keepDeaths,
      });
    case 'fail-over':
      return run(args, {
        points: onStores,
        measure: ({ runtime, store }: OnStore) => measureFailOver(runtime, store, options, progress),
        format: formatFailOver,
      });
    case 'growth': {
      const client = findLoadClient();
      return run(args, {
        points: runtimes,
        measure: (runtime) => measureGrowth(runtime, client, options, progress),
        format: formatGrowth,
        keep: keepGrowth,
      });
    }
    case 'public':
      return run(args, {
        points: runtimes,
        measure: (runtime) => measurePublic(runtime, args, progress),
        format: formatPublic,
      });
    case 'streams':
      return run(args, {
        points: runtimes,
        measure: (runtime) => measureStreams(runtime, options),
        format: formatStreams,
      });
    case 'big':
      return run(args, { points: runtimes, measure: (runtime) => measureBig(runtime, options), format: formatBig });
    case 'stores':
      return run(args, {
        points: args.stores,
        measure: (store) => measureStores(store, args, progress),
        format: formatStores,
      });
    case 'signatures':
      return run(args, {
        points: [args],
        measure: (given) => measureSignatures(given, progress),
        format: formatSignatures,
      });
    case 'tasks':
      return run(args, {
        points: onStores,
        measure: ({ runtime, store }: OnStore) => measureTasks(runtime, store, { ...options, progress }),
        format: formatTasks,
      });
    case 'ratio':
      return runRatio(args, runtimes, options.quiet);
    case 'load':
      return runLoads(args, runtimes, options.quiet);
  }
}

async function run<Point, Report>(args: BenchArguments, bench: Bench<Point, Report>): Promise<void> {
  const machine = describeMachine();
  if (!args.json) console.log(`${machineLine(machine)}\n${bench.note === undefined ? '' : `${bench.note}\n`}`);
  const reports: Report[] = [];
  for (const point of bench.points) {
    const report = await bench.measure(point);
    progress('');
    reports.push(report);
    if (args.keep) bench.keep?.(report);
    if (!args.json) console.log(`${bench.format(report)}\n`);
  }
  if (!args.json) return;
  const given = reports.map((report) => bench.json?.(report) ?? report);
  console.log(JSON.stringify({ machine, note: bench.note, [args.command]: given }, undefined, 2));
}

function runLoads(args: BenchArguments, runtimes: readonly Runtime[], quiet: QuietTime): Promise<void> {
  const client = findLoadClient();
  return run(args, {
    points: runtimes.flatMap((runtime) => selectWorks(args).map((work) => ({ runtime, work }))),
    note: `${client.description}, ${String(args.connections)} connections, ${String(args.durationS)} s, median of ${String(args.rounds)} rounds after a warm-up`,
    measure: ({ runtime, work }) => measureWork(work, runtime, client, { ...args, quiet, progress }),
    format: formatWork,
    json: jsonOf,
    keep: keepWork,
  });
}

function runRatio(args: BenchArguments, runtimes: readonly Runtime[], quiet: QuietTime): Promise<void> {
  const client = findLoadClient();
  runtimes.forEach(requireRecorded);
  return run(args, {
    points: runtimes,
    note: client.description,
    async measure(runtime) {
      const rows = [];
      for (const work of recordedWorks()) {
        const options = { ...args, quiet, progress, env: {}, storeCpuUs: () => 0 };
        rows.push(compareRecorded(reportWork(work, runtime, await runRounds(work, runtime, client, options))));
      }
      if (rows.some(({ lost }) => lost)) process.exitCode = 1;
      return { runtime, rows };
    },
    format: ({ runtime, rows }) => formatRatios(runtime, rows),
    json: ({ runtime, rows }) => ({ node: runtime.version, rows }),
  });
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}

/** The servers under test run the published form: plain JavaScript from `dist/`. */
function requireBuild(args: BenchArguments): void {
  const needed =
    args.command === 'sessions'
      ? args.sides.length === 0 || args.sides.some((id) => id.startsWith('ours'))
      : args.command !== 'load' || selectWorks(args).some(usesBuild);
  const entry = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  if (needed && process.env['BENCH_DIST'] === undefined && !existsSync(entry))
    throw new Error('dist/index.js is missing: npm run build');
}

const usesBuild = (work: Work): boolean => work.sides.some(({ server }) => server.script.startsWith('ours'));

function machineLine({ cpu, cores, memoryGiB, system, loadAverage, versions }: Machine): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${String(cores)} × ${cpu}, ${String(memoryGiB)} GiB, ${system}, load ${loadAverage.toFixed(2)}\n${packages.join(', ')}`;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
