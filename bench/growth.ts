/**
 * How cost grows with the sessions of one process, and with the tools of its servers. Curves that need several
 * processes or open streams are in `workers` and `streams`.
 */
import { keep } from './kept.ts';
import type { LoadClient } from './load-client.ts';
import type { QuietTime } from './quiet-time.ts';
import { initializeLoad, type Load, modernCalls, openSessions, statefulCalls, statefulLists } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess, type ServerScript } from './server-process.ts';
import { formatTable } from './table.ts';

export interface GrowthOptions {
  readonly rounds: number;
  readonly durationS: number;
  readonly connections: number;
  readonly foreignPercent: number;
  readonly quiet: QuietTime;
  /** Live sessions, row by row. */
  readonly sessions: readonly number[];
  /** `sessions` or `tools`; empty: both. */
  readonly only: readonly string[];
}

export interface GrowthReport {
  readonly runtime: Runtime;
  readonly sessions: readonly SessionsRow[];
  readonly tools: readonly ToolsRow[];
}

interface Figure {
  readonly requestsPerS: number;
  readonly cpuUs: number;
}

interface SessionsRow extends Figure {
  readonly sessions: number;
  /** Above the process without sessions. */
  readonly rssBytesEach: number;
  readonly p99Us: number;
}

interface ToolsRow {
  readonly tools: number;
  readonly making: Making;
  readonly call: Figure;
  /** `tools/list` on one session. */
  readonly list: Figure;
  readonly initialize: Figure;
  readonly modern: Figure;
  readonly heapBytesEach: number;
}

/**
 * How the servers of a process are made: by a factory, with its schemas and handlers too, or one for all, also with
 * `sharedLists`.
 */
type Making = 'factory' | 'inside' | 'one' | 'shared';

const TOOLS: ReadonlyArray<readonly [tools: number, making: Making]> = [
  [1, 'one'],
  [1, 'factory'],
  [1, 'inside'],
  [100, 'one'],
  [100, 'shared'],
  [100, 'factory'],
  [100, 'inside'],
  [1_000, 'one'],
  [1_000, 'shared'],
  [1_000, 'factory'],
];
const VERSION = '2025-06-18';
/** Enough sessions that a server weighs more than other allocations of the process. */
const HEAP_SESSIONS = 500;
const WARM_UP_S = 1;
/** More sessions do not fit into V8's default heap of 4 GiB on a machine of 16 GiB or more. */
const SESSIONS_OF_DEFAULT_HEAP = 300_000;
const HEAP_MIB = 16_384;

export async function measureGrowth(
  runtime: Runtime,
  client: LoadClient,
  options: GrowthOptions,
  progress: (text: string) => void,
): Promise<GrowthReport> {
  const sessions: SessionsRow[] = [];
  const wanted = (part: string): boolean => options.only.length === 0 || options.only.includes(part);
  for (const count of wanted('sessions') ? options.sessions : []) {
    progress(`${String(count)} sessions`);
    sessions.push(await withSessions(runtime, client, count, options));
  }
  const tools: ToolsRow[] = [];
  for (const [count, making] of wanted('tools') ? TOOLS : []) {
    progress(`${String(count)} tools, ${making}`);
    tools.push(await withTools(runtime, client, count, making, options));
  }
  return { runtime, sessions, tools };
}

const script = (tools: number, making: Making, nodeFlags: readonly string[] = []): ServerScript => ({
  script: 'growth.mjs',
  nodeFlags: ['--expose-gc', ...nodeFlags],
  env: { BENCH_TOOLS: String(tools), BENCH_MAKING: making },
});

async function withSessions(
  runtime: Runtime,
  client: LoadClient,
  count: number,
  options: GrowthOptions,
): Promise<SessionsRow> {
  const flags = count > SESSIONS_OF_DEFAULT_HEAP ? [`--max-old-space-size=${String(HEAP_MIB)}`] : [];
  const server = await ServerProcess.start(runtime, script(1, 'factory', flags));
  try {
    const before = await memory(server);
    const sessionIds = await openSessions(server.port, VERSION, count);
    const rssBytesEach = ((await memory(server)).rss - before.rss) / count;
    const one = await statefulCalls(server.port, VERSION);
    const load: Load = count === 1 ? one : { ...one, sessionIds };
    return { sessions: count, rssBytesEach, ...(await figure(server, client, load, options)) };
  } finally {
    await server.stop();
  }
}

async function withTools(
  runtime: Runtime,
  client: LoadClient,
  tools: number,
  making: Making,
  options: GrowthOptions,
): Promise<ToolsRow> {
  const server = await ServerProcess.start(runtime, script(tools, making));
  try {
    const call = await figure(server, client, await statefulCalls(server.port, VERSION), options);
    const list = await figure(server, client, await statefulLists(server.port, VERSION), options);
    const modern = await figure(server, client, await modernCalls(server.port), options);
    const before = await memory(server);
    await openSessions(server.port, VERSION, HEAP_SESSIONS);
    const heapBytesEach = ((await memory(server)).heapUsed - before.heapUsed) / HEAP_SESSIONS;
    const initialize = await figure(server, client, initializeLoad(server.port, VERSION), options);
    return { tools, making, call, list, initialize, modern, heapBytesEach };
  } finally {
    await server.stop();
  }
}

const memory = (server: ServerProcess): Promise<NodeJS.MemoryUsage> => server.ask<NodeJS.MemoryUsage>('settledMemory');

async function figure(
  server: ServerProcess,
  client: LoadClient,
  load: Load,
  { quiet, foreignPercent, connections, durationS, rounds }: GrowthOptions,
): Promise<Figure & { readonly p99Us: number }> {
  await client.run(load, { connections, durationS: WARM_UP_S });
  const found: Array<Figure & { readonly p99Us: number }> = [];
  for (let round = 0; round < rounds; round++) {
    await quiet.wait(foreignPercent / 100);
    const before = await server.cpuTime();
    const { requests, durationUs, failures, p99Us } = await client.run(load, { connections, durationS });
    const after = await server.cpuTime();
    if (failures > 0) throw new Error(`${String(failures)} of ${String(requests)} requests failed`);
    const cpuUs = (after.user + after.system - before.user - before.system) / requests;
    found.push({ requestsPerS: (requests * 1e6) / durationUs, cpuUs, p99Us });
  }
  const middle = found.toSorted((a, b) => a.cpuUs - b.cpuUs)[found.length >> 1];
  if (middle === undefined) throw new Error('no round was run');
  return middle;
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const tenths = (value: number): string => value.toFixed(1);
const MADE: Record<Making, string> = {
  factory: '',
  inside: ', made in the factory',
  one: ', one definition',
  shared: ', one definition, sharedLists',
};
const named = ({ tools, making }: ToolsRow): string => `${whole(tools)}${MADE[making]}`;

export function keepGrowth({ runtime, sessions, tools }: GrowthReport): void {
  const title = `Node ${String(runtime.major)}`;
  if (sessions.length > 0)
    keep('growth-sessions', {
      title,
      bars: sessions.map((row) => ({ label: `${whole(row.sessions)} sessions`, value: row.cpuUs })),
    });
  if (tools.length > 0)
    keep('growth-tools', { title, bars: tools.map((row) => ({ label: named(row), value: row.initialize.cpuUs })) });
}

export function formatGrowth({ runtime, sessions, tools }: GrowthReport): string {
  const one = sessions.find((row) => row.sessions === 1);
  const sessionRows = sessions.map((row) => [
    whole(row.sessions),
    whole(row.requestsPerS),
    tenths(row.cpuUs),
    one === undefined ? '' : `${(row.cpuUs / one.cpuUs).toFixed(2)}×`,
    whole(row.p99Us),
    row.sessions < 1_000 ? '' : tenths(row.rssBytesEach / 1_024),
  ]);
  const toolRows = tools.map((row) => [
    named(row),
    tenths(row.call.cpuUs),
    tenths(row.list.cpuUs),
    tenths(row.initialize.cpuUs),
    tenths(row.modern.cpuUs),
    tenths(row.heapBytesEach / 1_024),
  ]);
  const tables: ReadonlyArray<readonly [title: string, head: readonly string[], rows: readonly string[][]]> = [
    [
      `Calls spread over live sessions, 2025-06-18 · Node ${runtime.version}`,
      ['sessions', 'requests/s', 'CPU µs', 'of one', 'p99 µs', 'RSS KiB each'],
      sessionRows,
    ],
    [
      'Tools of a server: CPU µs of a call, a tools/list, an initialize, a call of 2026-07-28; heap of a session',
      ['tools', 'call', 'tools/list', 'initialize', '2026-07-28', 'heap KiB'],
      toolRows,
    ],
  ];
  return tables
    .filter(([, , rows]) => rows.length > 0)
    .map(([title, head, rows]) => `${title}\n\n${formatTable([head, ...rows])}`)
    .join('\n\n');
}
