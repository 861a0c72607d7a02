/**
 * An instance with ten thousand sessions, and a store that is some ms away and restarts for longer than a lease: how
 * soon requested sessions are served again, and when all are claimed.
 *
 * The instance, the delay before the store, and the clients are a process each: none waits for the work of another.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { openBackingStore, type StoreKind } from '../backing-store.ts';
import { History, now, type Violation, VIOLATIONS } from '../history.ts';
import { pause } from '../pause.ts';
import { machineNow, quantiles, type ReturnReport, type Used } from '../report.ts';

export interface ReturnOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  readonly sessions: number;
  /** How long before the store is back the sessions are asked; then their requests wait. */
  readonly earlyMs: number;
  readonly progress?: ((text: string) => void) | undefined;
}

/** From the instance to the store and back each. */
const DELAY_MS = 10;
const AWAY_MS = 6_000;
/** Sessions that are asked something at once when the store is back. */
const ASKED = 1_000;
const AT_ONCE = 50;
const DEADLINE_MS = 120_000;

/** What the instance says, by the clock of this process. */
interface Progress {
  readonly claimed: number;
  /** When the first and the last session was claimed. */
  readonly servingAt?: number;
  readonly lastAt: number;
  /** Of the instance, since its start: processor time, and how long its main thread waited for a processor. */
  readonly cpuMs: number;
  readonly queuedMs: number;
}

export async function runReturn(options: ReturnOptions): Promise<ReturnReport> {
  const { kind, seed, leaseMs, sessions: count, earlyMs, progress = () => {} } = options;
  const began = now();
  const machine = machineNow();
  const history = new History();
  const store = await openBackingStore(kind, 0);
  const processes: ChildProcess[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const all = new Agent({ keepAlive: true, maxSockets: ASKED });
  try {
    const { target, delay } = await distant(store.reach(0).args[1] ?? '', processes);
    const instance = start(processes, 'returning', target, String(leaseMs), String(count));
    const { url } = await said<{ url: string }>(instance);
    const told = (): Promise<Progress> => ask<Progress>(instance, 'report');
    progress(`${kind}: ${count} sessions are opened`);
    const ids = await openSessions(count, agent, url);
    await delay(DELAY_MS);
    progress(`${kind}: the store is away for ${AWAY_MS} ms`);
    const step = Math.max(1, Math.floor(count / ASKED));
    const asked = ids.filter((_, n) => n % step === 0).slice(0, ASKED);
    const askAll = (): Promise<number[]> =>
      Promise.all(
        asked.map(async (id) => {
          const answer = await post(all, url, call, id);
          if (answer.status !== 200 || !answer.text.includes('"result"'))
            history.violation('failed', `${id}: ${answer.status} ${answer.text.slice(0, 200)}`);
          return now();
        }),
      );
    const away = store.away(AWAY_MS, kind === 'sqlite' ? 'frozen' : 'stopped');
    const early = earlyMs > 0 ? pause(AWAY_MS - earlyMs).then(askAll) : undefined;
    await away;
    const back = now();
    const before = told();
    const waits = (await (early ?? askAll())).map((at) => at - back);
    const answered = await told();
    let after = answered;
    // On SQLite a lock refuses writes only, and a renewal may come through in time: then nothing has to be claimed.
    while (after.claimed > 0 && after.claimed < count && now() - back < DEADLINE_MS) {
      await pause(50);
      after = await told();
    }
    const { claimed, servingAt = NaN, lastAt } = after;
    if (claimed > 0 && claimed < count) history.violation('lost', `${count - claimed} were not claimed`);
    return {
      scenario: 'return',
      store: kind,
      how: store.how,
      seed,
      leaseMs,
      seconds: (now() - began) / 1000,
      clients: ASKED,
      node: process.version,
      sessions: count,
      requests: asked.length,
      calls: asked.length,
      resumes: 0,
      endings: {},
      refusals: {},
      violations: Object.fromEntries(
        Object.keys(VIOLATIONS).map((name) => [name, history.violations(name as Violation)]),
      ) as Record<Violation, number>,
      found: history.found,
      events: [],
      notes: {},
      log: {},
      machine,
      awayMs: AWAY_MS,
      delayMs: DELAY_MS,
      earlyMs,
      asked: quantiles(waits),
      claimed,
      servingAfterMs: servingAt - back,
      claimedAfterMs: lastAt - back,
      untilAnswered: usedBetween(await before, answered),
      untilClaimed: usedBetween(await before, after),
    };
  } finally {
    agent.destroy();
    all.destroy();
    for (const child of processes) child.kill('SIGKILL');
    await store.close();
  }
}

function usedBetween(from: Progress, to: Progress): Used {
  return { cpuMs: to.cpuMs - from.cpuMs, queuedMs: to.queuedMs - from.queuedMs };
}

/** A file is as near as it is. */
async function distant(url: string, processes: ChildProcess[]): Promise<{ target: string; delay: Delay }> {
  const port = /:(\d+)(?=\/|$)/.exec(url)?.[1];
  if (url.startsWith('sqlite:') || port === undefined) return { target: url, delay: async () => {} };
  const proxy = start(processes, 'delayed', port);
  const own = await said<{ port: number }>(proxy);
  const delay: Delay = async (delayMs) => void (await ask(proxy, { delayMs }));
  return { target: url.replace(`:${port}`, `:${own.port}`), delay };
}

type Delay = (ms: number) => Promise<void>;

/** A process of `processes/`. */
function start(processes: ChildProcess[], name: string, ...args: readonly string[]): ChildProcess {
  const child = fork(fileURLToPath(new URL(`../processes/${name}.mjs`, import.meta.url)), args, {
    execArgv: [],
  });
  processes.push(child);
  return child;
}

async function said<T>(child: ChildProcess): Promise<T> {
  const heard = new AbortController();
  const { signal } = heard;
  const ended = once(child, 'exit', { signal }).then(([code]) => Promise.reject(new Error(`it ended with ${code}`)));
  try {
    const [message] = (await Promise.race([once(child, 'message', { signal }), ended])) as [T];
    return message;
  } finally {
    heard.abort();
  }
}

function ask<T>(child: ChildProcess, message: string | object): Promise<T> {
  const answer = said<T>(child);
  child.send(message);
  return answer;
}

const call = { jsonrpc: '2.0', id: 'r', method: 'tools/call', params: { name: 'read', arguments: {} } };
const clientInfo = { name: 'return', version: '1' };
const initialize = {
  jsonrpc: '2.0',
  id: 'i',
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo },
};
const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' };

async function openSessions(count: number, agent: Agent, url: string): Promise<string[]> {
  const ids: string[] = [];
  let left = count;
  const openNext = async (): Promise<void> => {
    while (left-- > 0) {
      const { sessionId } = await post(agent, url, initialize, undefined);
      if (sessionId === undefined) throw new Error('a session could not be opened');
      await post(agent, url, initialized, sessionId);
      ids.push(sessionId);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, openNext));
  return ids;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly sessionId: string | undefined;
}

function post(agent: Agent, url: string, message: object, sessionId: string | undefined): Promise<Answer> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(sessionId !== undefined && { 'mcp-session-id': sessionId, 'mcp-protocol-version': '2025-11-25' }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', reject);
      response.on('end', () => {
        const id = response.headers['mcp-session-id'];
        resolve({ status: response.statusCode ?? 0, text, sessionId: typeof id === 'string' ? id : undefined });
      });
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(message));
  });
}
