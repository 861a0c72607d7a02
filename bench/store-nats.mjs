/**
 * What the NATS store costs by itself, without HTTP: `npm run build`, then `npx tsx bench/store-nats.mjs
 * [--url nats://…] [--sessions 20000] [--operations 5000] [--only operations|mailbox|sizes]`. Without a URL it has a server
 * of its own.
 *
 * Latencies are of one caller that waits for each answer; "16 together" are 16 callers in one event-loop turn, per
 * operation. CPU is that of this process; messages are those that it sends.
 */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { connect } from '@nats-io/transport-node';
import { nats } from '../dist/stores/nats/index.js';
import { systemRandom, systemTime } from '../dist/system.js';
import { startServer } from '../test/kit/servers/start.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    sessions: { type: 'string', default: '20000' },
    operations: { type: 'string', default: '5000' },
    only: { type: 'string', default: '' },
  },
});
const [sessions, operations] = [Number(values.sessions), Number(values.operations)];
const server = values.url === undefined ? await startServer('nats') : undefined;
const url = values.url ?? server.url;
const prefix = `bench-${process.pid}`;
const silent = { debug() {}, info() {}, warn() {}, error: console.error, fatal() {} };

const OPTIONS = {
  name: 'mcp',
  time: systemTime,
  random: systemRandom,
  logger: silent,
  leaseMs: 3_000,
  tombstoneMs: 600_000,
  retention: { ttlMs: 3_600_000, events: 1_000, bytes: 1_048_576 },
  eventLogBytes: 268_435_456,
  tombstones: 100_000,
};
const FENCE = { epoch: 1, owner: 'abcdefghijkl' };
const RESULT = JSON.stringify({
  jsonrpc: '2.0',
  id: 17,
  result: { content: [{ type: 'text', text: 'hello world' }], structuredContent: { echoed: 'hello world' } },
});
const CALL = JSON.stringify([{ id: 17, method: 'tools/call', params: { name: 'echo', arguments: { text: 'hello' } } }]);
const DAY_MS = 86_400_000;

const id = (n) => `s${String(n).padStart(21, '0')}`;

const record = (n, more = {}) => ({
  v: 1,
  id: id(n),
  ...FENCE,
  user: null,
  version: '2025-11-25',
  handshake: {
    protocolVersion: '2025-11-25',
    capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } },
    clientInfo: { name: 'a client', version: '1.2.3', title: 'A client with a title' },
  },
  answer: JSON.stringify({
    protocolVersion: '2025-11-25',
    capabilities: { tools: { listChanged: true }, logging: {} },
    serverInfo: { name: 'a server', version: '1.0.0' },
    instructions: 'Call echo. '.repeat(40),
  }),
  initialized: true,
  logLevel: null,
  subscriptions: [],
  state: {},
  getStream: false,
  createdAt: Date.now(),
  activeAt: Date.now(),
  expiresAt: Date.now() + DAY_MS,
  ...more,
});

const microseconds = (ms) => (ms * 1_000).toFixed(0).padStart(9);

function report(name, latencies, wallMs, cpu, count) {
  latencies.sort((a, b) => a - b);
  const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))];
  const cpuMs = (cpu.user + cpu.system) / 1_000;
  const columns = [at(0.5), at(0.99), at(0.999), wallMs / count, cpuMs / count].map(microseconds);
  console.log(name.padEnd(46), columns.join(' '));
}

/** `run(n)` starts operation `n`; `together` of them are started in one turn and waited for. */
async function measure(name, together, run, count = operations) {
  for (let n = 0; n < count / 10; n += together)
    await Promise.all(Array.from({ length: together }, (_, i) => run(n + i)));
  const offset = Math.ceil(count / 10 / together) * together;
  const latencies = [];
  const [cpu, started] = [process.cpuUsage(), performance.now()];
  for (let n = 0; n < count; n += together) {
    const before = performance.now();
    if (together === 1) await run(offset + n);
    else await Promise.all(Array.from({ length: together }, (_, i) => run(offset + n + i)));
    latencies.push(performance.now() - before);
  }
  report(name, latencies, performance.now() - started, process.cpuUsage(cpu), count);
}

/** A connection of the caller's, so that its messages can be counted. */
async function openCounted() {
  const connection = await connect({ servers: url, noAsyncTraces: true });
  const view = await nats(connection, { prefix }).open(OPTIONS);
  const close = async () => {
    await view.close();
    await connection.close();
  };
  return { view, connection, close };
}

async function measureOperations() {
  const { view, connection, close } = await openCounted();
  const spread = 64;
  for (let n = 0; n < spread; n++) await view.sessions.create(record(n));
  // Streams are numbered within their session.
  const streams = Array.from({ length: spread }, () => 0);
  const nextStream = (session) => `p1x${(streams[session]++).toString(36)}`;
  const call = (session, more) =>
    view.events.append({
      sessionId: id(session),
      fence: FENCE,
      stream: nextStream(session),
      from: 0,
      events: ['', RESULT],
      complete: true,
      ...more,
    });
  const counted = async (name, together, run, count = operations) => {
    const { outMsgs, outBytes } = connection.stats();
    await measure(name, together, run, count);
    const { outMsgs: messages, outBytes: bytes } = connection.stats();
    const each = (total) => (total / (count * 1.1)).toFixed(total > 1e6 ? 0 : 2);
    console.log(''.padEnd(46), `${each(messages - outMsgs)} messages, ${each(bytes - outBytes)} bytes sent`);
  };
  console.log(`${operations} operations each, µs`);
  console.log(''.padEnd(46), ['p50', 'p99', 'p99.9', 'per op', 'CPU/op'].map((name) => name.padStart(9)).join(' '));
  await counted('read a record', 1, (n) => view.sessions.read(id(n % spread)));
  await counted('read a record, 16 together', 16, (n) => view.sessions.read(id(n % spread)));
  await counted('save (compare-and-set)', 1, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await counted('save, 16 together', 16, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await counted('save one key of state', 1, (n) =>
    view.sessions.save(id(n % spread), FENCE, { state: { cart: `${n}` } }),
  );
  await counted('create', 1, (n) => view.sessions.create(record(spread + n)));
  await counted('claim', 1, (n) => view.sessions.claim(id(spread + n), 1, FENCE.owner));
  await counted('release', 1, (n) => view.sessions.release(id(spread + n), { ...FENCE, epoch: 2 }));
  await counted('end', 1, (n) => view.sessions.end(id(spread + n), null, 'deleted'));
  await counted('append a call, one session', 1, () => call(0));
  await counted('append a call, one session, 16 together', 16, () => call(0));
  await counted(`append a call, ${spread} sessions`, 1, (n) => call(n % spread));
  await counted(`append a call, ${spread} sessions, 16 together`, 16, (n) => call(n % spread));
  const marked = async (n) => {
    const name = nextStream(n % spread);
    const request = `"${name}"`;
    const place = { sessionId: id(n % spread), fence: FENCE, stream: name };
    await view.events.append({ ...place, from: 0, events: [''], requests: CALL, mark: { request, stream: name } });
    await view.events.append({ ...place, from: 1, events: [RESULT], complete: true, unmark: request });
  };
  await counted('a call that may not be repeated, 2 appends', 1, marked);
  await counted('a call that may not be repeated, 16 together', 16, marked);
  const lastStream = (n) => `p1x${(streams[n % spread] - 1).toString(36)}`;
  await counted('replay the last call', 1, (n) => view.events.replay(id(n % spread), lastStream(n), -1), 500);
  await counted('open streams', 1, (n) => view.events.open(id(n % spread)));
  await close();
}

async function measureMailbox() {
  const views = [await openCounted(), await openCounted()];
  let answered;
  const [one, other] = views.map(({ view }) => view);
  await one.instances.announce({ id: `one-${process.pid}`, state: 'serving', version: '1' }, () => answered());
  await other.instances.announce({ id: `other-${process.pid}`, state: 'serving', version: '1' }, (from, message) => {
    void other.instances.send(`other-${process.pid}`, from, message);
  });
  await measure('message and answer, two mailboxes, one process', 1, () => {
    const answer = new Promise((resolve) => (answered = resolve));
    void one.instances.send(`one-${process.pid}`, `other-${process.pid}`, { kind: 'call', body: RESULT });
    return answer;
  });
  await measure('is the owner alive', 1, () => one.instances.read(`other-${process.pid}`));
  await measure('renew a lease', 1, () => one.instances.renew(`one-${process.pid}`, 'serving'));
  for (const { close } of views) await close();
}

const diskBytes = () =>
  server === undefined ? 0 : Number(execFileSync('du', ['-sb', server.folder], { encoding: 'utf8' }).split('\t')[0]);
const serverMemory = () =>
  server === undefined ? 0 : Number(execFileSync('ps', ['-o', 'rss=', '-p', String(server.pid)], { encoding: 'utf8' }));

async function measureSizes() {
  const { view, close } = await openCounted();
  const before = diskBytes();
  const started = performance.now();
  const some = [];
  for (let n = 0; n < sessions; n += 100) {
    const ids = Array.from({ length: Math.min(100, sessions - n) }, () =>
      Buffer.from(systemRandom(16)).toString('base64url'),
    );
    if (ids[0] !== undefined) some.push(ids[0]);
    await Promise.all(ids.map(async (one) => view.sessions.create(record(n, { id: one, owner: null }))));
  }
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const each = ((diskBytes() - before) / sessions).toFixed(0);
  console.log(`${sessions} identical idle sessions: ${each} bytes of disk each, made in ${seconds} s;`);
  console.log(
    `the server has ${(serverMemory() / 1e3).toFixed(0)} MB, this process ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`,
  );
  await measure('count()', 1, () => view.sessions.count(), 20);
  await measure('expired(100), nothing is due', 1, () => view.sessions.expired(100), 20);
  await measure('list(100)', 1, () => view.sessions.list(100), 20);
  await measure(
    `claim one of ${sessions}`,
    1,
    (n) => view.sessions.claim(some[n % some.length], 1, FENCE.owner),
    some.length,
  );
  await close();
}

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
const parts = { operations: measureOperations, mailbox: measureMailbox, sizes: measureSizes };
try {
  for (const [name, run] of Object.entries(parts)) if (values.only === '' || values.only === name) await run();
} finally {
  await server?.close();
}
