/**
 * One endpoint with many sessions, from the build: `node returning.mjs STORE_URL LEASE_MS SESSIONS`. It says `{ url }`
 * when it listens. To the message `report` it answers what has happened since the store went away.
 */
import { readFileSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from '../../../dist/index.js';

const [target, leaseMs, sessions] = process.argv.slice(2);
const [scheme] = target.split(':');
const kind = { redis: 'redis', postgres: 'postgres', sqlite: 'sqlite' }[scheme];
const opener = (await import(`../../../dist/stores/${kind}/index.js`))[kind];
/** The clock of the process that asks too. */
const now = () => performance.timeOrigin + performance.now();

const silent = () => {};
const logger = { debug: silent, info: silent, warn: silent, error: silent, fatal: silent };
const endpoint = createMcpEndpoint(
  (ctx) => {
    const server = new McpServer({ name: 'return', version: '1.0.0' }, { ...ctx.serverOptions });
    server.registerTool('read', { annotations: { readOnlyHint: true } }, () => ({ content: [] }));
    return server;
  },
  {
    store: opener(target.replace(/^sqlite:/, '')),
    leaseMs: Number(leaseMs),
    logger,
    maxIdleSessionCount: 2 * Number(sessions),
  },
);

const claimed = new Map();
let servingAt;
endpoint.sessions.events.on('restored', ({ sessionId, cause }) => {
  if (cause !== 'reclaim') return;
  servingAt ??= now();
  claimed.set(sessionId, now());
});

/**
 * How long the main thread was ready to run and no processor was free: other programs had them. `/proc/<pid>/schedstat`
 * has ns (https://docs.kernel.org/scheduler/sched-stats.html).
 */
function queuedMs() {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return NaN;
  }
}

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  const used = { cpuMs: (user + system) / 1000, queuedMs: queuedMs() };
  process.send({ claimed: claimed.size, servingAt, lastAt: Math.max(0, ...claimed.values()), ...used });
});
process.once('disconnect', () => process.exit(0));
const { url } = await endpoint.listen({ port: 0 });
process.send({ url });
