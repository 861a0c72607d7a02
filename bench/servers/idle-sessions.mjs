import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { writeHeapSnapshot } from 'node:v8';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import { buildEchoServer } from './echo-server.mjs';

// Opens sessions in this process and reports what each keeps on the heap after its client has disconnected. Needs
// --expose-gc. Where sessions hibernate, the harness then wakes some of them.

const initialize = (id) =>
  JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'initialize',
    params: {
      protocolVersion: '2025-06-18',
      capabilities: { sampling: {}, elicitation: {} },
      clientInfo: { name: 'bench', version: '1.0.0' },
    },
  });
const initialized = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' });

/** Only the SDK's own objects: a connected server after a handshake. */
async function sdkAlone() {
  const servers = [];
  return async (id) => {
    const server = buildEchoServer();
    let answered;
    const answer = new Promise((resolve) => (answered = resolve));
    const transport = {
      start: () => Promise.resolve(),
      close: () => Promise.resolve(),
      send: (message) => Promise.resolve(answered(message)),
    };
    await server.connect(transport);
    transport.onmessage(JSON.parse(initialize(id)));
    await answer;
    answered = undefined;
    transport.onmessage(JSON.parse(initialized));
    servers.push(server);
  };
}

async function overHttp(handler) {
  const server = createServer(handler);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address();
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const open = async (id) => {
    const opened = await post(port, agent, {}, initialize(id));
    const headers = {
      'mcp-session-id': opened.headers['mcp-session-id'],
      'mcp-protocol-version': '2025-06-18',
    };
    const told = await post(port, agent, headers, initialized);
    if (opened.statusCode !== 200 || told.statusCode !== 202)
      throw new Error(`a session was not opened: ${opened.statusCode}, ${told.statusCode}`);
    return headers['mcp-session-id'];
  };
  open.settle = async () => server.closeAllConnections();
  open.port = port;
  return open;
}

function post(port, agent, headers, body) {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        port,
        agent,
        host: '127.0.0.1',
        path: '/mcp',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...headers,
        },
      },
      (incoming) => {
        incoming.resume();
        incoming.on('end', () => resolve(incoming));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function officialHandler() {
  const transports = new Map();
  return async (req, res) => {
    const known = transports.get(req.headers['mcp-session-id']);
    if (known) return known.handleRequest(req, res);
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => {
        transports.set(id, transport);
      },
    });
    await buildEchoServer().connect(transport);
    return transport.handleRequest(req, res);
  };
}

async function oursHandler(options) {
  const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');
  return createMcpEndpoint(buildEchoServer, { maxIdleSessionCount: 10_000_000, ...options }).node;
}

let hasty = true;

/** Sessions hibernate soon after they are idle: a sweep runs every 50 ms, so that few are live at a time. */
const hastyTime = {
  now: Date.now,
  setTimeout: (fn, ms) => setTimeout(() => fn(), ms === 5_000 && hasty ? 50 : ms),
  clearTimeout,
};

async function hibernating(store) {
  const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');
  const endpoint = createMcpEndpoint(buildEchoServer, {
    maxIdleSessionCount: 10_000_000,
    hibernateAfterMs: 100,
    timeProvider: hastyTime,
    ...(store && { store }),
  });
  const open = await overHttp(endpoint.node);
  const { settle } = open;
  open.asleep = async () => {
    while (endpoint.sessions.count > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  open.settle = async () => {
    await settle();
    await open.asleep();
  };
  return open;
}

async function sqliteStore() {
  const { sqlite } = await import(
    new URL('stores/sqlite/index.js', process.env.BENCH_DIST ?? new URL('../../dist/index.js', import.meta.url)).href
  );
  const folder = mkdtempSync(join(tmpdir(), 'bench-sqlite-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return sqlite(join(folder, 'sessions.db'));
}

const sides = {
  sdk: sdkAlone,
  ours: async () => overHttp(await oursHandler({ eventRetention: false })),
  'ours-log': async () => overHttp(await oursHandler({})),
  hibernated: hibernating,
  'hibernated-sqlite': async () => hibernating(await sqliteStore()),
  official: async () => overHttp(officialHandler()),
};

async function usage(open) {
  await open.settle?.();
  for (let pass = 0; pass < 4; pass++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    globalThis.gc();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapUsed, external, rss };
}

/** Ids of sessions that the harness is told, at regular distances. */
const SAMPLE = 2_200;

/** Returns the ids of some of them. */
async function openSessions(open, first, count) {
  const sample = [];
  const every = Math.ceil(count / SAMPLE);
  const workers = Array.from({ length: 4 }, async (_, worker) => {
    for (let id = worker; id < count; id += 4) {
      const sessionId = await open(first + id);
      if (id % every === 0) sample.push(sessionId);
    }
  });
  await Promise.all(workers);
  return sample;
}

let opened;

async function measure({ side, warmUp, count, snapshot }) {
  const open = await sides[side]();
  opened = open;
  await openSessions(open, 1, warmUp);
  const before = await usage(open);
  const sample = await openSessions(open, warmUp + 1, count);
  const after = await usage(open);
  if (snapshot !== undefined) writeHeapSnapshot(snapshot);
  const each = (key) => (after[key] - before[key]) / count;
  const footprint = { heapBytes: each('heapUsed'), externalBytes: each('external'), rssBytes: each('rss') };
  return { ...footprint, processBytes: after.rss, ...(open.asleep && { port: open.port, sample }) };
}

const pauses = [];
let observer;

const asks = {
  measure,
  /** Lets every session hibernate, for the last time. Then the pauses of the collector are noted. */
  async asleep() {
    await opened.asleep();
    hasty = false;
    observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries())
        pauses.push([performance.timeOrigin + startTime, duration]);
    });
    observer.observe({ entryTypes: ['gc'] });
    return true;
  },
  /** Start by the clock of the machine and duration, in ms. */
  async pauses() {
    // The observer is told of a pause in a later turn.
    await new Promise((resolve) => setTimeout(resolve, 50));
    observer.disconnect();
    return pauses;
  },
};

async function answer({ ask, ...params }) {
  process.send({ answer: await asks[ask](params) });
}

process.on('message', (question) => void answer(question));
process.on('disconnect', () => process.exit(0));
process.send({ port: 0 });
