/**
 * The cost of open GET streams in one process: memory per stream, a message to all streams at once, and keep-alives.
 * Each stream has its own session at 2025-11-25. The clients are sockets of this process.
 */
import { execFileSync } from 'node:child_process';
import { GetStreams } from './get-streams.ts';
import { post, openSessionAt } from './raw-session.ts';
import { Connection } from './connection.ts';
import { type QuietOptions, quietly } from './quietly.ts';
import type { Runtime } from './runtimes.ts';
import { type CpuTime, ServerProcess } from './server-process.ts';
import { percentile, summarize } from './statistics.ts';
import { formatTable } from './table.ts';

export interface StreamsOptions extends QuietOptions {
  readonly streams: number;
  /** Broadcasts that are counted. */
  readonly rounds: number;
}

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
}

interface Delays {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  readonly cpu: CpuTime;
}

interface Broadcast {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  readonly stallMs: number;
  readonly cpuMs: number;
}

interface Tick {
  readonly comments: number;
  /** Time until everything it wrote was sent. */
  readonly ms: number;
}

export interface StreamsReport {
  readonly runtime: Runtime;
  readonly streams: number;
  readonly empty: Memory;
  readonly sessions: Memory;
  readonly open: Memory;
  readonly broadcasts: readonly Broadcast[];
  readonly keepAlives: {
    readonly intervalMs: number;
    readonly ticks: readonly Tick[];
    readonly stallMs: number;
    readonly cpuMs: number;
    readonly foreign: number;
  };
  /** The greatest share of the machine that other processes may use during a broadcast. */
  readonly foreign: number;
}

const VERSION = '2025-11-25';
/**
 * Sessions with a stream each that are opened and closed before anything is counted, so that code is compiled and
 * tables have grown.
 */
const WARM_UP = 500;
const OPENERS = 4;
/** Keep-alive intervals. */
const INTERVALS = 1;
/** Files of each process besides the streams. */
const FILES_ELSE = 200;

const RSS_GOAL_BYTES: Readonly<Record<number, number>> = { 20: 12_000, 24: 20_000 };
const P99_GOAL_MS = 250;
const STALL_GOAL_MS = 25;

export async function measureStreams(runtime: Runtime, options: StreamsOptions): Promise<StreamsReport> {
  requireFiles(options.streams);
  const server = await ServerProcess.start(runtime, { script: 'ours-streams.mjs', nodeFlags: ['--expose-gc'] });
  const clients = new GetStreams();
  try {
    await warmUp(server, Math.min(WARM_UP, options.streams));
    const empty = await server.ask<Memory>('settledMemory');
    const ids = await openSessions(server.port, options.streams);
    const sessions = await server.ask<Memory>('settledMemory');
    await clients.open(server.port, ids);
    const open = await server.ask<Memory>('settledMemory');
    const broadcasts: Broadcast[] = [];
    // The first round warms up.
    await broadcastOnce(server, clients);
    let foreign = 0;
    for (let round = 0; round < options.rounds; round++) {
      const one = await quietly(server, options, () => broadcastOnce(server, clients));
      broadcasts.push(one.found);
      foreign = Math.max(foreign, one.foreign);
    }
    const { found, foreign: meanwhile } = await quietly(server, options, () => keepAlivesOnce(server));
    const keepAlives = { ...found, foreign: meanwhile };
    return {
      runtime,
      streams: options.streams,
      empty,
      sessions,
      open,
      broadcasts,
      keepAlives,
      foreign,
    };
  } finally {
    clients.close();
    await server.stop();
  }
}

function requireFiles(streams: number): void {
  const most = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  if (most !== 'unlimited' && Number(most) < streams + FILES_ELSE)
    throw new Error(
      `${String(streams)} streams need as many open files, and ulimit -n is ${most}: raise it, or --streams fewer`,
    );
}

async function warmUp(server: ServerProcess, count: number): Promise<void> {
  const ids = await openSessions(server.port, count);
  const streams = new GetStreams();
  await streams.open(server.port, ids);
  await broadcastOnce(server, streams);
  streams.close();
  const connection = await Connection.open(server.port);
  for (const id of ids) await connection.send(post(undefined, { sessionId: id, version: VERSION, method: 'DELETE' }));
  connection.close();
}

async function openSessions(port: number, count: number): Promise<string[]> {
  const ids: string[] = [];
  const openers = Array.from({ length: OPENERS }, async () => {
    const connection = await Connection.open(port);
    for (let left = count; ids.length < count && left > 0; left--) ids.push(await openSessionAt(connection, VERSION));
    connection.close();
  });
  await Promise.all(openers);
  return ids.slice(0, count);
}

async function broadcastOnce(server: ServerProcess, clients: GetStreams): Promise<Broadcast> {
  const before = await server.ask<CpuTime>('watch');
  let said = 0;
  const arrived = await clients.all('list_changed', async () => {
    said = (await server.ask<{ at: number }>('broadcast')).at;
  });
  const delays = await server.ask<Delays>('watched');
  const ms = arrived.map((at) => (at - said) / 1e6).toSorted((a, b) => a - b);
  return {
    p50Ms: percentile(ms, 0.5),
    p99Ms: percentile(ms, 0.99),
    mostMs: percentile(ms, 1),
    stallMs: delays.mostMs,
    cpuMs: cpuMs(before, delays.cpu),
  };
}

async function keepAlivesOnce(server: ServerProcess): Promise<Omit<StreamsReport['keepAlives'], 'foreign'>> {
  const before = await server.ask<CpuTime>('watch');
  const { keepAliveMs } = await server.ask<{ keepAliveMs: number }>('startKeepAlives');
  await new Promise((done) => void setTimeout(done, INTERVALS * keepAliveMs));
  const { ticks } = await server.ask<{ ticks: Tick[] }>('stopKeepAlives');
  const delays = await server.ask<Delays>('watched');
  return { intervalMs: keepAliveMs, ticks, stallMs: delays.mostMs, cpuMs: cpuMs(before, delays.cpu) };
}

const cpuMs = (before: CpuTime, after: CpuTime): number =>
  (after.user + after.system - before.user - before.system) / 1000;

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const verdict = (reached: boolean, goal: string): string => `${reached ? 'reached' : 'missed'}: ${goal}`;

export function formatStreams(report: StreamsReport): string {
  const { runtime, streams, empty, sessions, open, broadcasts, keepAlives, foreign } = report;
  const rssGoal = RSS_GOAL_BYTES[runtime.major];
  const rss = (open.rss - sessions.rss) / streams;
  const perStream = (later: Memory, earlier: Memory): string[] => [
    `${whole((later.rss - earlier.rss) / streams)} B RSS`,
    `${whole((later.heapUsed - earlier.heapUsed) / streams)} B heap`,
  ];
  const memory = [
    [
      'a GET stream: with the streams − the same sessions without',
      ...perStream(open, sessions),
      rssGoal === undefined ? '' : verdict(rss <= rssGoal, `≤ ${whole(rssGoal)} B RSS`),
    ],
    ['a session: the sessions without streams − none', ...perStream(sessions, empty), ''],
    ['both: with sessions and streams − none', ...perStream(open, empty), ''],
    ['the process', `${whole(open.rss / 1e6)} MB RSS`, `${whole(open.heapUsed / 1e6)} MB heap`, ''],
  ];
  const middle = (of: (one: Broadcast) => number): number => summarize(broadcasts.map(of)).median;
  const range = (of: (one: Broadcast) => number): string => {
    const { median, least, most } = summarize(broadcasts.map(of));
    return `${whole(median)} ms (${whole(least)} to ${whole(most)})`;
  };
  const p99 = middle(({ p99Ms }) => p99Ms);
  const stall = middle(({ stallMs }) => stallMs);
  const most = Math.max(...keepAlives.ticks.map(({ comments }) => comments));
  const tickMs = summarize(keepAlives.ticks.map(({ ms }) => ms));
  const times = [
    ['a message to all, at the client: p50', range(({ p50Ms }) => p50Ms), ''],
    ['p99', range(({ p99Ms }) => p99Ms), verdict(p99 <= P99_GOAL_MS, `≤ ${whole(P99_GOAL_MS)} ms`)],
    ['the last', range(({ mostMs }) => mostMs), ''],
    [
      'longest stall of the server',
      range(({ stallMs }) => stallMs),
      verdict(stall <= STALL_GOAL_MS, `≤ ${whole(STALL_GOAL_MS)} ms`),
    ],
    ['CPU of the server', range(({ cpuMs: ms }) => ms), ''],
    ['other processes in that time, at most', `${whole(foreign * 100)} %`, ''],
    [
      `keep-alives every ${whole(keepAlives.intervalMs)} ms: most in one tick`,
      `${whole(most)} of ${whole(streams)}`,
      verdict(most <= Math.ceil(streams / 15), `≤ N / 15 = ${whole(Math.ceil(streams / 15))}`),
    ],
    [
      'a tick, until it has been written',
      `${whole(tickMs.median)} ms (${whole(tickMs.least)} to ${whole(tickMs.most)})`,
      verdict(tickMs.median <= STALL_GOAL_MS, `≤ ${whole(STALL_GOAL_MS)} ms`),
    ],
    ['longest stall of the server', `${whole(keepAlives.stallMs)} ms`, ''],
    ['CPU of an interval', `${whole(keepAlives.cpuMs / INTERVALS)} ms`, ''],
    ['other processes in that time', `${whole(keepAlives.foreign * 100)} %`, ''],
  ];
  const title = `${whole(streams)} open GET streams, ${String(broadcasts.length)} broadcasts after a warm-up · Node ${runtime.version}`;
  return [title, formatTable(memory), formatTable(times)].join('\n\n');
}
