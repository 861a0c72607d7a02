/**
 * Big messages in one process, and their effect on other sessions: results and bodies of 4 MiB beside small calls of
 * other sessions, 10,000 progress notifications of one call, 64 calls at once in one session. All sessions are of
 * 2025-11-25.
 */
import { BigExchange } from './big-exchange.ts';
import { Connection } from './connection.ts';
import { type Quiet, type QuietOptions, quietly } from './quietly.ts';
import { paced, type PacedCall } from './paced.ts';
import { openSessionAt, post } from './raw-session.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { percentile } from './statistics.ts';
import { formatTable } from './table.ts';

export interface BigOptions extends QuietOptions {
  /** Seconds of small calls, without and with big calls beside them. */
  readonly durationS: number;
}

interface Watched {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  readonly peakBytes: number;
}

interface SmallCalls {
  readonly delays: Watched;
  /** The time of each small call. */
  readonly ms: readonly number[];
  readonly bigMs: readonly number[];
}

interface Burst {
  readonly ms: number;
  readonly inOrder: boolean;
  readonly arrived: number;
  readonly answered: boolean;
  readonly rssBefore: number;
  readonly peakBytes: number;
  readonly stallMs: number;
}

export interface BigReport {
  readonly runtime: Runtime;
  readonly durationS: number;
  readonly alone: Quiet<SmallCalls>;
  readonly beside: Quiet<SmallCalls>;
  readonly burst: Quiet<Burst>;
  readonly laterBurst: Quiet<Burst>;
  readonly together: { readonly answered: number; readonly ms: number };
}

const VERSION = '2025-11-25';
const BIG_BYTES = 4 * 1024 * 1024;
const BIG_EVERY_MS = 200;
const SMALL_SESSIONS = 16;
const SMALL_EVERY_MS = 10;
const NOTIFICATIONS = 10_000;
/** `limits.requestsPerSession`. */
const TOGETHER = 64;

interface Session {
  readonly id: string;
  readonly connection: Connection;
}

export async function measureBig(runtime: Runtime, options: BigOptions): Promise<BigReport> {
  const load = await withServer(runtime, async (server) => {
    const sessions = await openAll(server.port, SMALL_SESSIONS);
    const big = { result: await openBig(server.port), body: await openBig(server.port) };
    // Warms up.
    await smallCalls(server, sessions, options.durationS, big);
    const measured = (bigs?: typeof big) =>
      quietly(server, options, () => smallCalls(server, sessions, options.durationS, bigs));
    const [alone, beside] = [await measured(), await measured(big)];
    big.result.exchange.close();
    big.body.exchange.close();
    for (const { connection } of sessions) connection.close();
    const { found: together } = await quietly(server, options, () => callsTogether(server.port));
    return { alone, beside, together };
  });
  const burst = await withServer(runtime, (server) => notifications(server, 'progress', options));
  const laterBurst = await withServer(runtime, (server) => notifications(server, 'later-progress', options));
  return { runtime, durationS: options.durationS, ...load, burst, laterBurst };
}

async function withServer<T>(runtime: Runtime, run: (server: ServerProcess) => Promise<T>): Promise<T> {
  const server = await ServerProcess.start(runtime, { script: 'ours-big.mjs', nodeFlags: ['--expose-gc'] });
  try {
    return await run(server);
  } finally {
    await server.stop();
  }
}

async function openAll(port: number, count: number): Promise<Session[]> {
  const sessions: Session[] = [];
  for (let n = 0; n < count; n++) {
    const connection = await Connection.open(port);
    sessions.push({ connection, id: await openSessionAt(connection, VERSION) });
  }
  return sessions;
}

interface BigSession {
  readonly id: string;
  readonly exchange: BigExchange;
}

async function openBig(port: number): Promise<BigSession> {
  const connection = await Connection.open(port);
  const id = await openSessionAt(connection, VERSION);
  connection.close();
  return { id, exchange: await BigExchange.open(port) };
}

function call(sessionId: string, name: string, args: object, progressToken?: string): string {
  const params = { name, arguments: args, ...(progressToken !== undefined && { _meta: { progressToken } }) };
  return post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }, { sessionId, version: VERSION });
}

const took = (call: PacedCall): number => call.ms;

/** At a steady pace, however long the answers take. */
async function smallCalls(
  server: ServerProcess,
  sessions: readonly Session[],
  durationS: number,
  big: { readonly result: BigSession; readonly body: BigSession } | undefined,
): Promise<SmallCalls> {
  const ms: number[] = [];
  const bigMs: number[] = [];
  const requests =
    big === undefined
      ? []
      : [
          { exchange: big.result.exchange, bytes: Buffer.from(call(big.result.id, 'give', {})) },
          { exchange: big.body.exchange, bytes: Buffer.from(call(big.body.id, 'take', { text: bigText() })) },
        ];
  await server.ask('watch');
  const end = performance.now() + durationS * 1000;
  const goesOn = (due: number): boolean => due < end;
  const small = sessions.map(({ id, connection }, n) => {
    const bytes = call(id, 'echo', { text: 'hello' });
    return paced(SMALL_EVERY_MS, (n * SMALL_EVERY_MS) / sessions.length, goesOn, async () => {
      const { status, body } = await connection.send(bytes);
      if (status !== 200 || !body.includes('"text":"hello"')) throw new Error(`a small call was answered with ${body}`);
    }).then((each) => ms.push(...each.map(took)));
  });
  const large = requests.map(({ exchange, bytes }, n) =>
    paced(BIG_EVERY_MS, (n * BIG_EVERY_MS) / 2, goesOn, async () => {
      const answer = await exchange.send(bytes);
      if (!answer.includes('"id":1')) throw new Error(`a big call was answered with ${answer}`);
    }).then((each) => bigMs.push(...each.map(took))),
  );
  await Promise.all([...small, ...large]);
  return { delays: await server.ask<Watched>('watched'), ms, bigMs };
}

/** With its envelope a body of just under 4 MiB, the default limit. */
const bigText = (): string => 'y'.repeat(BIG_BYTES - 200);

async function notifications(server: ServerProcess, tool: string, options: QuietOptions): Promise<Quiet<Burst>> {
  const { id, exchange } = await openBig(server.port);
  // Warms up.
  await exchange.send(Buffer.from(call(id, tool, { count: NOTIFICATIONS }, 'p')), true);
  const { rss } = await server.ask<{ rss: number }>('settledMemory');
  const burst = await quietly(server, options, async () => {
    await server.ask('watch');
    const start = performance.now();
    const text = await exchange.send(Buffer.from(call(id, tool, { count: NOTIFICATIONS }, 'p')), true);
    const ms = performance.now() - start;
    const { peakBytes, mostMs } = await server.ask<Watched>('watched');
    const numbers = [...text.matchAll(/"progress":(\d+)/g)].map(([, n]) => Number(n));
    return {
      ms,
      arrived: numbers.length,
      inOrder: numbers.every((n, index) => n === index + 1),
      answered: text.includes('"text":"done"'),
      rssBefore: rss,
      peakBytes,
      stallMs: mostMs,
    };
  });
  exchange.close();
  return burst;
}

/** Calls of 100 ms each, one connection for each. */
async function callsTogether(port: number): Promise<BigReport['together']> {
  const connections = await Promise.all(Array.from({ length: TOGETHER }, () => Connection.open(port)));
  const [first] = connections;
  if (first === undefined) throw new Error('no connections');
  const id = await openSessionAt(first, VERSION);
  const start = performance.now();
  const answers = await Promise.all(
    connections.map((connection, n) => {
      const message = { jsonrpc: '2.0', id: n, method: 'tools/call', params: { name: 'wait', arguments: {} } };
      return connection.send(post(message, { sessionId: id, version: VERSION }));
    }),
  );
  const ms = performance.now() - start;
  for (const connection of connections) connection.close();
  const answered = answers.filter(({ body }, n) => body.includes(`"id":${String(n)}}`) && body.includes('waited'));
  return { answered: answered.length, ms };
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const percent = (share: number): string => `${whole(share * 100)} %`;
const tenths = (value: number): string => `${value.toFixed(1)} ms`;

export function formatBig({ runtime, durationS, alone, beside, burst, laterBurst, together }: BigReport): string {
  const smallRow = (title: string, { found: { delays, ms }, foreign }: Quiet<SmallCalls>): string[] => {
    const sorted = ms.toSorted((a, b) => a - b);
    return [
      title,
      whole(ms.length),
      tenths(percentile(sorted, 0.5)),
      tenths(percentile(sorted, 0.99)),
      tenths(percentile(sorted, 1)),
      tenths(delays.p99Ms),
      tenths(delays.mostMs),
      percent(foreign),
    ];
  };
  const small = [
    ['small calls', 'calls', 'p50', 'p99', 'longest', 'event loop p99', 'longest stall', 'other processes'],
    smallRow('alone', alone),
    smallRow('beside big ones', beside),
  ];
  const big = beside.found.bigMs.toSorted((a, b) => a - b);
  const burstRow = (title: string, { found, foreign }: Quiet<Burst>): string[] => [
    title,
    `${whole(found.arrived)} of ${whole(NOTIFICATIONS)}${found.inOrder ? ' in order' : ', not in order'}${found.answered ? '' : ', no answer'}`,
    `${whole(found.ms)} ms`,
    `stall ${whole(found.stallMs)} ms`,
    `peak ${whole((found.peakBytes - found.rssBefore) / 1e6)} MB above ${whole(found.rssBefore / 1e6)}`,
    `other processes ${percent(foreign)}`,
  ];
  const rest = [
    burstRow('progress notifications, within one turn', burst),
    burstRow('the same after 50 ms', laterBurst),
    [
      `${String(TOGETHER)} calls of 100 ms at once, one session`,
      `${String(together.answered)} of ${String(TOGETHER)} answered`,
      `${whole(together.ms)} ms`,
      '',
      '',
      '',
    ],
  ];
  const title =
    `4 MiB results and 4 MiB bodies, one of each every ${String(BIG_EVERY_MS)} ms, beside ${String(SMALL_SESSIONS)} sessions with a call ` +
    `every ${String(SMALL_EVERY_MS)} ms, ${String(durationS)} s each · Node ${runtime.version}`;
  const took = `${whole(big.length)} big calls took ${tenths(big[0] ?? Number.NaN)} at least, ${tenths(percentile(big, 0.5))} at p50.`;
  return [title, formatTable(small), took, formatTable(rest)].join('\n\n');
}
