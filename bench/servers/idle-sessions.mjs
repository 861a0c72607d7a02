import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeHeapSnapshot } from 'node:v8';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import { buildEchoServer } from './echo-server.mjs';

// Opens sessions in this process and reports what each keeps on the heap after its client has disconnected. Needs
// --expose-gc.

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
const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
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
    return headers;
  };
  open.settle = async () => server.closeAllConnections();
  /** Pings an open session and returns the time in ms. */
  open.ping = async (headers) => {
    const before = performance.now();
    const { statusCode } = await post(port, agent, headers, ping);
    if (statusCode !== 200) throw new Error(`a ping was answered with ${statusCode}`);
    return performance.now() - before;
  };
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

const WARM_WAKES = 200;
const WAKES = 2_000;

/** Wakes sessions at regular distances, one after the other, then pings each again while it is awake. */
async function wakes(open, sample) {
  for (const headers of sample.splice(0, WARM_WAKES)) await open.ping(headers);
  await open.asleep();
  hasty = false;
  const [woken, awake] = [[], []];
  for (const headers of sample) {
    woken.push(await open.ping(headers));
    awake.push(await open.ping(headers));
  }
  const at = (times, part) => times.sort((a, b) => a - b)[Math.floor(times.length * part)] * 1_000;
  return {
    wakeP50Us: at(woken, 0.5),
    wakeP99Us: at(woken, 0.99),
    awakeP50Us: at(awake, 0.5),
    awakeP99Us: at(awake, 0.99),
  };
}

/** Returns the headers of some of them. */
async function openSessions(open, first, count) {
  const sample = [];
  const every = Math.ceil(count / (WARM_WAKES + WAKES));
  const workers = Array.from({ length: 4 }, async (_, worker) => {
    for (let id = worker; id < count; id += 4) {
      const headers = await open(first + id);
      if (id % every === 0) sample.push(headers);
    }
  });
  await Promise.all(workers);
  return sample;
}

async function measure({ side, warmUp, count, snapshot }) {
  const open = await sides[side]();
  await openSessions(open, 1, warmUp);
  const before = await usage(open);
  const sample = await openSessions(open, warmUp + 1, count);
  const after = await usage(open);
  if (snapshot !== undefined) writeHeapSnapshot(snapshot);
  const each = (key) => (after[key] - before[key]) / count;
  const footprint = { heapBytes: each('heapUsed'), externalBytes: each('external'), rssBytes: each('rss') };
  return { ...footprint, processBytes: after.rss, ...(open.asleep && (await wakes(open, sample))) };
}

async function answer(params) {
  process.send({ answer: await measure(params) });
}

process.on('message', (params) => void answer(params));
process.on('disconnect', () => process.exit(0));
process.send({ port: 0 });
