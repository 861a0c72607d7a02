/**
 * The work of a widely quoted comparison of MCP servers in 15 languages and frameworks: three tools with Redis and an
 * HTTP service behind them, and `tools/list`, each in a separate session: `initialize`, `notifications/initialized`,
 * the request, DELETE. 50 users at once, each with 50 ms of rest after its four sessions. As there, a request is an
 * `initialize`, a `tools/call` or a `tools/list`; notifications and DELETE are not counted, and their time is.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as rest } from 'node:timers/promises';
import { createClient } from 'redis';
import { startServer } from '../test/kit/servers/start.ts';
import { installed } from '../tools/installed.ts';
import { Connection } from './connection.ts';
import { cpuUsOf } from './process-usage.ts';
import type { ProgramId } from './programs.ts';
import { INITIALIZE, type PublicRequest, requestsOf, requireSameAnswers, userOf, VERSION } from './public-answers.ts';
import { IDLE_COUNT, IDLE_VERSION, type IdleSessions, measureIdle } from './public-memory.ts';
import { findSides, FOLDER, type PublicServer } from './public-sides.ts';
import { post } from './raw-session.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { percentile, spread, type Summary, summarize } from './statistics.ts';
import { formatTable } from './table.ts';

interface PublicOptions {
  readonly rounds: number;
  readonly durationS: number;
  /** Ids of sides in Node.js; empty: all. */
  readonly sides: readonly string[];
  /** Sides in other languages. */
  readonly servers: readonly ProgramId[];
}

interface PublicReport {
  readonly runtime: Runtime;
  readonly sides: readonly SideReport[];
  readonly idle: readonly IdleSessions[];
}

interface SideReport {
  readonly title: string;
  readonly requestsPerS: Summary;
  readonly cpuUs: Summary;
  readonly p50Ms: Summary;
  readonly p99Ms: Summary;
}

interface Round {
  readonly requestsPerS: number;
  readonly cpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const USERS = 50;
const REST_MS = 50;
const WARM_UP_S = 2;

export async function measurePublic(
  runtime: Runtime,
  { rounds, durationS, sides, servers: languages }: PublicOptions,
  progress: (text: string) => void,
): Promise<PublicReport> {
  await installed('others');
  progress(languages.length === 0 ? '' : `public, building ${languages.join(', ')}`);
  const chosen = await findSides(runtime, sides, languages);
  const redis = await startServer('redis', { args: [] });
  const api = await ServerProcess.start(runtime, { script: `${FOLDER}/api.mjs` });
  const servers: PublicServer[] = [];
  try {
    await seed(redis.url);
    const env = { PUBLIC_REDIS: redis.url, PUBLIC_API: `http://127.0.0.1:${String(api.port)}` };
    for (const side of chosen) servers.push(await side.start(env));
    await requireSameAnswers(chosen, servers);
    const measured = chosen.map((): Round[] => []);
    for (let round = 0; round <= rounds; round++) {
      for (let turn = 0; turn < chosen.length; turn++) {
        const n = (round + turn) % chosen.length;
        const server = servers[n];
        if (server === undefined) continue;
        progress(`public ${chosen[n]?.id ?? ''}, Node ${runtime.version}, round ${String(round)}/${String(rounds)}`);
        const found = await measureRound(server, round === 0 ? WARM_UP_S : durationS);
        if (round > 0) measured[n]?.push(found);
      }
    }
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    const idle = await measureIdle(runtime, chosen, env, progress);
    return { runtime, sides: chosen.map(({ title }, n) => report(title, measured[n] ?? [])), idle };
  } finally {
    await Promise.all([...servers, api].map((server) => server.stop()));
    await redis.close();
  }
}

function report(title: string, rounds: readonly Round[]): SideReport {
  const of = (figure: keyof Round): Summary => summarize(rounds.map((round) => round[figure]));
  return { title, requestsPerS: of('requestsPerS'), cpuUs: of('cpuUs'), p50Ms: of('p50Ms'), p99Ms: of('p99Ms') };
}

/** Carts and histories of the users, and of user 0 for the check; and how popular some products are. */
async function seed(url: string): Promise<void> {
  const client = createClient({ url });
  await client.connect();
  const items = JSON.stringify([{ product_id: 7, quantity: 1 }]);
  const order = JSON.stringify({ order_id: 'ORD-1', items: [], ts: 0 });
  for (let n = 0; n <= USERS; n++) {
    await client.hSet(`bench:cart:${userOf(n)}`, { items, total: '12.5' });
    await client.rPush(`bench:history:${userOf(n)}`, [order, order, order, order, order]);
  }
  await client.zAdd(
    'bench:popular',
    Array.from({ length: 1_000 }, (_, n) => ({ score: n, value: `product:${String(n + 1)}` })),
  );
  client.destroy();
}

async function measureRound(server: PublicServer, seconds: number): Promise<Round> {
  const connections = await Promise.all(Array.from({ length: USERS }, () => Connection.open(server.port)));
  const calls: number[] = [];
  const cpuBefore = cpuUsOf(server.pid);
  const began = performance.now();
  const until = began + seconds * 1_000;
  const users = connections.map((connection, n) => runUser(connection, userOf(n + 1), until, calls));
  const counted = (await Promise.all(users)).reduce((sum, requests) => sum + requests, 0);
  const wallS = (performance.now() - began) / 1_000;
  const cpuUs = cpuUsOf(server.pid) - cpuBefore;
  for (const connection of connections) connection.close();
  const sorted = calls.toSorted((a, b) => a - b);
  return {
    requestsPerS: counted / wallS,
    cpuUs: cpuUs / counted,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
  };
}

/** Returns how many requests were answered. */
async function runUser(connection: Connection, user: string, until: number, calls: number[]): Promise<number> {
  const requests = requestsOf(user);
  let counted = 0;
  while (performance.now() < until) {
    for (const { request, expected } of requests) {
      const ms = await runSession(connection, request, expected);
      if (request.method === 'tools/call') calls.push(ms);
      counted += 2;
    }
    await rest(REST_MS);
  }
  return counted;
}

/** The ms that the request itself took. */
async function runSession(connection: Connection, request: PublicRequest, expected: RegExp): Promise<number> {
  const opened = await connection.send(
    post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: INITIALIZE }, { version: VERSION }),
  );
  if (opened.status !== 200) throw new Error(`initialize was answered with ${opened.head}`);
  const sessionId = /\r\nmcp-session-id: (\S+)/i.exec(opened.head)?.[1];
  const target = { version: VERSION, ...(sessionId !== undefined && { sessionId }) };
  await connection.send(post({ jsonrpc: '2.0', method: 'notifications/initialized' }, target));
  const began = performance.now();
  const answer = await connection.send(post({ jsonrpc: '2.0', id: 2, ...request }, target));
  const ms = performance.now() - began;
  if (!expected.test(answer.body)) throw new Error(`${JSON.stringify(request)} was answered with ${answer.body}`);
  if (sessionId !== undefined) await connection.send(post(undefined, { ...target, method: 'DELETE' }));
  return ms;
}

export function formatPublic({ runtime, sides, idle }: PublicReport): string {
  const head = ['', 'requests/s', '±', 'CPU µs/request', '±', 'p50 ms', 'p99 ms'];
  const share = (summary: Summary): string => `${(spread(summary) * 100).toFixed(0)} %`;
  const rows = sides.map(({ title, requestsPerS, cpuUs, p50Ms, p99Ms }) => [
    title,
    Math.round(requestsPerS.median).toLocaleString('en'),
    share(requestsPerS),
    cpuUs.median.toFixed(0),
    share(cpuUs),
    p50Ms.median.toFixed(1),
    p99Ms.median.toFixed(1),
  ]);
  const cores = availableParallelism();
  const what = 'three tools and tools/list, a session each, Redis and HTTP behind them, 50 users';
  const title = `${what} · Node ${runtime.version} · one process each, which may use ${String(cores)} cores`;
  const load = `${title}\n\n${formatTable([head, ...rows])}`;
  if (idle.length === 0) return load;
  const kib = (bytes: number): string => (bytes / 1024).toFixed(1);
  const idleRows = idle.map((side) => [side.title, kib(side.residentBytes), kib(side.collectedBytes)]);
  const idleTitle = `resident memory per idle session of ${IDLE_VERSION}, ${IDLE_COUNT.toLocaleString('en')} sessions, no other store than memory`;
  return `${load}\n\n${idleTitle}\n\n${formatTable([['', 'KiB', 'KiB after a collection'], ...idleRows])}`;
}
