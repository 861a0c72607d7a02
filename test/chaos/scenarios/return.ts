/**
 * An instance with ten thousand sessions, and a store that is some ms away and restarts for longer than a lease: how
 * soon requested sessions are served again, and when all are claimed.
 */
import { Agent, request } from 'node:http';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from '../../../src/index.ts';
import { nats } from '../../../src/stores/nats/index.ts';
import { postgres } from '../../../src/stores/postgres/index.ts';
import { redis } from '../../../src/stores/redis/index.ts';
import { sqlite } from '../../../src/stores/sqlite/index.ts';
import { openBackingStore, type StoreKind } from '../backing-store.ts';
import { History, now, type Violation, VIOLATIONS } from '../history.ts';
import { pause } from '../pause.ts';
import { quantiles, type ReturnReport } from '../report.ts';

export interface ReturnOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  readonly sessions: number;
  readonly progress?: ((text: string) => void) | undefined;
}

/** From the instance to the store and back each. */
const DELAY_MS = 10;
const AWAY_MS = 6_000;
/** Sessions that are asked something at once when the store is back. */
const ASKED = 1_000;
const AT_ONCE = 50;
const DEADLINE_MS = 120_000;
const OPENERS = { redis, postgres, nats, sqlite } as const;

export async function runReturn(options: ReturnOptions): Promise<ReturnReport> {
  const { kind, seed, leaseMs, sessions: count, progress = () => {} } = options;
  const started = now();
  const history = new History();
  const store = await openBackingStore(kind, 1);
  const target = store.reach(0).args[1] ?? '';
  const logger = { debug: silent, info: silent, warn: silent, error: silent, fatal: silent };
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const server = new McpServer({ name: 'return', version: '1.0.0' }, { ...ctx.serverOptions });
      server.registerTool('read', { annotations: { readOnlyHint: true } }, () => ({ content: [] }));
      return server;
    },
    { store: OPENERS[kind](target.replace(/^sqlite:/, '')), leaseMs, logger, maxIdleSessionCount: 2 * count },
  );
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const all = new Agent({ keepAlive: true, maxSockets: ASKED });
  try {
    const { url } = await endpoint.listen({ port: 0 });
    progress(`${kind}: ${count} sessions are opened`);
    const ids = await openSessions(count, agent, url);
    for (const link of store.links) link.delay(DELAY_MS);
    const claimed = new Map<string, number>();
    endpoint.sessions.events.on('restored', ({ sessionId, cause }) => {
      if (cause === 'reclaim') claimed.set(sessionId, now());
    });
    progress(`${kind}: the store is away for ${AWAY_MS} ms`);
    await store.away(AWAY_MS, kind === 'sqlite' ? 'frozen' : 'stopped');
    const back = now();
    const step = Math.max(1, Math.floor(count / ASKED));
    const asked = ids.filter((_, n) => n % step === 0).slice(0, ASKED);
    const waits = await Promise.all(
      asked.map(async (id) => {
        const answer = await post(all, url, call, id);
        if (answer.status !== 200 || !answer.text.includes('"result"'))
          history.violation('failed', `${id}: ${answer.status} ${answer.text.slice(0, 200)}`);
        return now() - back;
      }),
    );
    // On SQLite a lock refuses writes only, and a renewal may come through in time: then nothing has to be claimed.
    while (claimed.size > 0 && claimed.size < count && now() - back < DEADLINE_MS) await pause(50);
    const last = Math.max(back, ...claimed.values());
    if (claimed.size > 0 && claimed.size < count) history.violation('lost', `${count - claimed.size} were not claimed`);
    return {
      scenario: 'return',
      store: kind,
      how: store.how,
      seed,
      leaseMs,
      seconds: (now() - started) / 1000,
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
      awayMs: AWAY_MS,
      delayMs: DELAY_MS,
      asked: quantiles(waits),
      claimed: claimed.size,
      claimedAfterMs: last - back,
    };
  } finally {
    agent.destroy();
    all.destroy();
    await endpoint.close();
    await store.close();
  }
}

const silent = (): void => {};
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
