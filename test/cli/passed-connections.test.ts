/** A connection reaches any worker, which passes it to the worker that has its session. */
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connectV2 } from '../clients/official.ts';
import { ownConnections } from '../clients/own-connections.ts';
import { answersGoOn, keepCalling } from '../kit/calling.ts';
import { say } from '../kit/lab.ts';
import { isMatrix } from '../kit/matrix.ts';
import { callModern } from '../kit/modern.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';
import { ask } from '../kit/dashboard.ts';
import {
  instanceOf,
  isAlive,
  pinned,
  pinnedTo,
  startWorkers,
  type Workers,
} from './workers-process.ts';

const CLIENTS = 16;
const CALLS = 20;
const PASSED = isMatrix ? 100_000 : 2_000;
const AT_ONCE = 16;
/** New connections, one after the other: for 6 s, in which the busy worker is free 15 times. */
const [ARRIVALS, APART_MS] = [120, 50];

let lastId = 10_000;

/** The bytes of a call of the tool `name` in the session of `client`. */
function callOf({ url, sessionId = '' }: RawClient, name = 'way'): string {
  const params = { name, arguments: {} };
  const body = JSON.stringify({ jsonrpc: '2.0', id: ++lastId, method: 'tools/call', params });
  const head = [
    `POST /mcp HTTP/1.1`,
    `host: ${url.host}`,
    'content-type: application/json',
    'accept: application/json, text/event-stream',
    `mcp-session-id: ${sessionId}`,
    `content-length: ${body.length}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** What a connection has received so far. */
function reading(socket: Socket) {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  /** The texts of the tools, in order. */
  const answers = (): string[] =>
    [...text.matchAll(/"text":"([^"]*)"/g)].map(([, said = '']) => said);
  return { socket, answers, text: () => text };
}

/** Connections that the worker `pid` has accepted, on which nothing was sent, and a client of that worker. */
async function acceptedBy(pid: number, workers: Workers, count: number) {
  const url = new URL(await workers.url());
  const others = workers.all().filter((other) => other !== pid && isAlive(other));
  for (const other of others) process.kill(other, 'SIGSTOP');
  try {
    const open = Array.from({ length: count }, () =>
      reading(connect(Number(url.port), url.hostname)),
    );
    await until(() => open.every(({ socket }) => socket.readyState === 'open'));
    // What was before it in the kernel's queue is accepted once it is answered.
    const probe = pinned(url.href);
    await instanceOf(probe);
    return { open, probe };
  } finally {
    for (const other of others) process.kill(other, 'SIGCONT');
  }
}

/** Two workers, and a session in each. */
async function twoSessions() {
  const workers = startWorkers();
  const url = await workers.url();
  const [one, two] = [workers.pid(1), workers.pid(2)];
  const [here, there] = [await pinnedTo(workers, one), await pinnedTo(workers, two)];
  for (const client of [here, there]) await client.initialize();
  return { workers, url, one, two, here, there };
}

function halves(text: string, at: number): [string, string] {
  const middle = text.indexOf('\r\n\r\n') + at;
  return [text.slice(0, middle), text.slice(middle)];
}

describe.runIf(process.platform === 'linux')('connections of workers', { timeout: 600_000 }, () => {
  test('a connection is passed once, with what was read of it, and no request is answered twice', async () => {
    const { workers, one, two, here, there } = await twoSessions();
    const direct = `${one} direct`;
    /** `pieces`: worker 2 has read each before the next one is sent. */
    const cases: [what: string, pieces: string[], answers: string[]][] = [
      ['a request', [callOf(here)], [direct]],
      ['requests in one piece', [callOf(here) + callOf(here)], [direct, direct]],
      ['a request and a half', halves(callOf(here) + callOf(here), 500), [direct, direct]],
      ['half a head', halves(callOf(here), -20), [`${one} relayed`]],
      ['a late body', halves(callOf(here), 10), [direct]],
      ['another session behind', [callOf(here), callOf(there)], [direct, `${two} relayed`]],
      ['a session of the worker itself', [callOf(there)], [`${two} direct`]],
    ];
    const { open, probe } = await acceptedBy(two, workers, cases.length + 1);
    const cut = open.pop()?.socket;
    cut?.write(callOf(here, 'count'), () => cut.destroy());
    for (const [n, [what, pieces, answers]] of cases.entries()) {
      const connection = open[n];
      for (const piece of pieces) {
        connection?.socket.write(piece);
        // The first answer may come from the turn that reads the piece, before it reads it.
        for (let turn = 0; turn < 2; turn++) await instanceOf(probe);
      }
      const all = (): boolean => connection?.answers().length === answers.length;
      await until(all, { what: `the answers to ${what}` });
    }
    const got = cases.map(([what], n) => [what, open[n]?.answers()]);
    expect(got).toEqual(cases.map(([what, , answers]) => [what, answers]));
    // The request of the connection that was cut ran once, or never.
    expect(['1', '2']).toContain(await say(here, 'count'));
  });

  test('what comes while a connection is on its way is read by the worker that gets it', async () => {
    const { workers, one, two, here } = await twoSessions();
    const { open, probe } = await acceptedBy(two, workers, 3);
    const calls = open.map(() => halves(callOf(here), 10));
    // The first connection waits at the supervisor for worker 1, and the others behind it in worker 2.
    process.kill(one, 'SIGSTOP');
    try {
      for (const piece of [0, 1] as const) {
        for (const [n, { socket }] of open.entries()) socket.write(calls[n]?.[piece] ?? '');
        await instanceOf(probe);
      }
      open.pop()?.socket.destroy();
    } finally {
      process.kill(one, 'SIGCONT');
    }
    const answers = (): string[][] => open.map((connection) => connection.answers());
    await until(() => answers().every(({ length }) => length === 1), { what: 'both answers' });
    expect(answers()).toEqual([[`${one} direct`], [`${one} direct`]]);
  });

  test('a frozen supervisor holds up no new connection, and passes them again when it runs', async () => {
    const { workers, one, two, here, there } = await twoSessions();
    const supervisor = workers.parent ?? 0;
    const { port, hostname } = here.url;
    const opened = (n: number) => {
      const connection = reading(connect(Number(port), hostname));
      connection.socket.write(callOf(n % 2 === 0 ? here : there));
      return connection;
    };
    const began = performance.now();
    process.kill(supervisor, 'SIGSTOP');
    try {
      const open = Array.from({ length: 60 }, (_, n) => opened(n));
      const answered = (): number => open.filter(({ answers }) => answers().length === 1).length;
      await until(() => performance.now() - began > 3_000 || answered() === open.length, {
        what: '60 answers',
      });
      expect(answered()).toBe(60);
    } finally {
      process.kill(supervisor, 'SIGCONT');
    }
    await until(async () => {
      const { open } = await acceptedBy(two, workers, 1);
      open[0]?.socket.write(callOf(here));
      await until(() => open[0]?.answers().length === 1);
      return open[0]?.answers()[0] === `${one} direct`;
    });
  });

  test('many connections leave no descriptor behind', async () => {
    const { workers, url, one, two, here } = await twoSessions();
    const ids = [workers.parent, one, two];
    const descriptors = (): number[] => ids.map((pid) => readdirSync(`/proc/${pid}/fd`).length);
    const [instance, before] = [await instanceOf(here), descriptors()];
    const headers = { 'mcp-session-id': here.sessionId ?? '' };
    let left = PASSED;
    const client = async (): Promise<void> => {
      while ((left -= 1) >= 0) {
        const { status, body } = await ask(Number(new URL(url).port), '/healthz', { headers });
        expect([status, JSON.parse(body)]).toMatchObject([200, { instance }]);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, client));
    await until(() => descriptors().every((count, n) => count <= (before[n] ?? 0)), {
      what: 'the descriptors of before',
    });
  });

  test('16 clients: at most one call of twenty is relayed, and a rolling restart fails none', async () => {
    const workers = startWorkers();
    const url = await workers.url();
    const clients = [];
    for (let n = 0; n < CLIENTS; n++)
      clients.push(await connectV2(url, { fetch: await ownConnections() }));
    const ways: (string | undefined)[] = [];
    for (const client of clients)
      for (let n = 0; n < CALLS; n++) ways.push(await client.say('way'));
    const relayed = ways.filter((way) => way?.endsWith('relayed'));
    expect(relayed.length).toBeLessThanOrEqual(ways.length / 20);
    expect(new Set(ways.map((way) => way?.split(' ')[0])).size).toBe(2);
    const callers = clients.map((client) => keepCalling(() => client.say('count')));
    workers.kill('SIGHUP');
    await workers.logs('rolling restart done');
    await answersGoOn(callers);
    await Promise.all(callers.map(({ stop }) => stop()));
    expect(callers.flatMap(({ failures }) => failures)).toEqual([]);
  });

  test('a worker that computes gets few of the new connections, and delays no other', async () => {
    const workers = startWorkers();
    const url = await workers.url();
    const one = workers.pid(1);
    /** A call without a session. */
    const callTool = async (client: RawClient, name: string): Promise<string> => {
      const { message } = await callModern(client, 'tools/call', { name, arguments: {} });
      return JSON.stringify(message.result);
    };
    const busy = callTool(await pinnedTo(workers, one), 'toil');
    const took: [said: string, ms: number][] = [];
    for (let n = 0; n < ARRIVALS; n++) {
      const began = performance.now();
      const said = await callTool(pinned(url), 'where');
      const ms = performance.now() - began;
      took.push([said, ms]);
      await new Promise((next) => setTimeout(next, Math.max(0, APART_MS - ms)));
    }
    const there = took.filter(([said]) => !said.includes(`"${one}"`));
    expect(took.length - there.length).toBeLessThan(ARRIVALS / 4);
    // One that waits for the busy worker waits up to 300 ms.
    const sorted = there.map(([, ms]) => ms).toSorted((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length * 0.9)]).toBeLessThan(150);
    expect(await busy).toContain('toiled');
  });
});
