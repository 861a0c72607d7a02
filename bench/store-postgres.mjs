/**
 * What the PostgreSQL store costs by itself, without HTTP: `npm run build`, then `npx tsx bench/store-postgres.mjs
 * [--url postgres://…] [--sessions 100000] [--operations 5000]`. Without a URL it has a server of its own, as it comes.
 *
 * Latencies are of one caller that waits for each answer; "16 together" are 16 callers in one event-loop turn, per
 * operation. CPU is that of this process; `server` is that of the server, where it is our own. WAL is what the server writes
 * for it, in bytes.
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { postgres } from '../dist/stores/postgres/index.js';
import { systemRandom, systemTime } from '../dist/system.js';
import { startServer } from '../test/kit/servers/start.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    sessions: { type: 'string', default: '100000' },
    operations: { type: 'string', default: '5000' },
    only: { type: 'string', default: '' },
  },
});
const [sessions, operations] = [Number(values.sessions), Number(values.operations)];
const server = values.url === undefined ? await startServer('postgres') : undefined;
const url = values.url ?? server.url;
const silent = { debug() {}, info() {}, warn() {}, error: console.error, fatal() {} };

const OPTIONS = {
  name: `bench-${process.pid}`,
  time: systemTime,
  random: systemRandom,
  logger: silent,
  leaseMs: 30_000,
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

const microseconds = (ms) => (Number.isNaN(ms) ? '–' : (ms * 1_000).toFixed(0)).padStart(9);

/** User and system time of the server's processes, in ms: those that have ended count for the first of them. */
function serverCpu() {
  if (server === undefined) return NaN;
  return server.processes.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) * 10;
  }, 0);
}

const asked = new pg.Client(url);
await asked.connect();
const walBytes = async () => Number((await asked.query(`SELECT pg_current_wal_insert_lsn() - '0/0' AS n`)).rows[0].n);

function report(name, latencies, wallMs, cpu, cpuOfServer, wal, count) {
  latencies.sort((a, b) => a - b);
  const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))];
  const cpuMs = (cpu.user + cpu.system) / 1_000;
  const columns = [at(0.5), at(0.99), wallMs / count, cpuMs / count, cpuOfServer / count].map(microseconds);
  console.log(name.padEnd(50), columns.join(' '), (wal / count).toFixed(0).padStart(9));
}

/** `run(n)` starts operation `n`; `together` of them are started in one turn and waited for. */
async function measure(name, together, run, count = operations) {
  if (!name.includes(values.only)) return;
  const warmUp = Math.ceil(count / 10 / together) * together;
  for (let n = 0; n < warmUp; n += together) await Promise.all(Array.from({ length: together }, (_, i) => run(n + i)));
  const latencies = [];
  const wal = await walBytes();
  const [cpu, cpuOfServer, started] = [process.cpuUsage(), serverCpu(), performance.now()];
  for (let n = 0; n < count; n += together) {
    const before = performance.now();
    if (together === 1) await run(warmUp + n);
    else await Promise.all(Array.from({ length: together }, (_, i) => run(warmUp + n + i)));
    latencies.push((performance.now() - before) / (together === 1 ? 1 : together));
  }
  const wallMs = performance.now() - started;
  const used = [process.cpuUsage(cpu), serverCpu() - cpuOfServer];
  report(name, latencies, wallMs, ...used, (await walBytes()) - wal, count);
}

async function measureOperations() {
  const view = await postgres(url).open(OPTIONS);
  const spread = 64;
  for (let n = 0; n < spread; n++) await view.sessions.create(record(n));
  let stream = 0;
  const check = async (outcome) => {
    if ((await outcome) === 'fenced') throw new Error('fenced');
  };
  const call = (session, more) =>
    check(
      view.events.append({
        sessionId: id(session),
        fence: FENCE,
        stream: `p1x${(stream++).toString(36)}`,
        from: 0,
        events: ['', RESULT],
        complete: true,
        ...more,
      }),
    );
  console.log(`${operations} operations each, µs`);
  console.log(
    ''.padEnd(50),
    ['p50', 'p99', 'per op', 'CPU/op', 'server', 'WAL'].map((name) => name.padStart(9)).join(' '),
  );
  await measure('read a record', 1, async (n) => view.sessions.read(id(n % spread)));
  await measure('save (compare-and-set)', 1, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await measure('save, 16 together', 16, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await measure('save one key of state', 1, (n) =>
    view.sessions.save(id(n % spread), FENCE, { state: { cart: `${n}` } }),
  );
  await measure('save one key of state, 16 together', 16, (n) =>
    view.sessions.save(id(n % spread), FENCE, { state: { cart: `${n}` } }),
  );
  await measure('create', 1, (n) => view.sessions.create(record(spread + n)));
  await measure('create, 16 together', 16, (n) => view.sessions.create(record(100_000 + n)));
  await measure('claim', 1, (n) => view.sessions.claim(id(spread + n), 1, FENCE.owner));
  await measure('claim, 16 together', 16, (n) => view.sessions.claim(id(100_000 + n), 1, FENCE.owner));
  await measure('release, 16 together', 16, (n) => view.sessions.release(id(100_000 + n), { ...FENCE, epoch: 2 }));
  await measure('end', 1, (n) => view.sessions.end(id(spread + n), { ...FENCE, epoch: 2 }, 'deleted'));
  await measure('mark', 1, (n) => view.sessions.mark(id(n % spread), FENCE, { request: `${n}`, stream: 'p' }));
  await measure('clear a mark', 1, (n) =>
    view.sessions.mark(id(n % spread), FENCE, { request: `${n}`, stream: 'p' }, true),
  );
  await measure('append a call, one session', 1, () => call(0));
  await measure('append a call, one session, 16 together', 16, () => call(0));
  await measure(`append a call, ${spread} sessions`, 1, (n) => call(n % spread));
  await measure(`append a call, ${spread} sessions, 16 together`, 16, (n) => call(n % spread));
  await measure(`append a call, ${spread} sessions, 64 together`, 64, (n) => call(n % spread));
  const marked = async () => {
    const request = `${stream++}`;
    const name = `p1x${request}`;
    const place = { sessionId: id(0), fence: FENCE, stream: name };
    await check(
      view.events.append({ ...place, from: 0, events: [''], requests: CALL, mark: { request, stream: name } }),
    );
    await check(view.events.append({ ...place, from: 1, events: [RESULT], complete: true, unmark: request }));
  };
  await measure('a call that may not be repeated, 2 appends', 1, marked);
  await measure('a call that may not be repeated, 16 together', 16, marked);
  await measure('replay a stream of a full log', 1, (n) => view.events.replay(id(n % spread), 'p1x0', -1), 500);
  await view.close();
}

async function measureMailbox() {
  const views = await Promise.all([postgres(url).open(OPTIONS), postgres(url).open(OPTIONS)]);
  const [one, other] = views;
  const answered = new Map();
  await one.instances.announce({ id: 'one', state: 'serving', version: '1' }, (_, { n }) => {
    answered.get(n)();
    answered.delete(n);
  });
  await other.instances.announce({ id: 'other', state: 'serving', version: '1' }, (from, message) => {
    void other.instances.send('other', from, message);
  });
  const ask = (n) => {
    const answer = new Promise((resolve) => answered.set(n, resolve));
    void one.instances.send('one', 'other', { kind: 'call', n, body: RESULT });
    return answer;
  };
  await measure('message and answer, two mailboxes, one process', 1, ask);
  await measure('message and answer, 16 together', 16, ask);
  await measure('renew', 1, () => one.instances.renew('one', 'serving'));
  for (const view of views) await view.close();
}

async function sizes() {
  const text = `SELECT relname, pg_total_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = 'sojourn' AND relkind = 'r'`;
  return new Map((await asked.query(text)).rows.map(({ relname, pg_total_relation_size: bytes }) => [relname, +bytes]));
}

async function measureSize() {
  const view = await postgres(url).open({ ...OPTIONS, name: `${OPTIONS.name}-size` });
  const before = await sizes();
  const started = performance.now();
  const some = [];
  for (let n = 0; n < sessions; n += 500) {
    const ids = Array.from({ length: Math.min(500, sessions - n) }, () =>
      Buffer.from(systemRandom(16)).toString('base64url'),
    );
    if (ids[0] !== undefined) some.push(ids[0]);
    await Promise.all(ids.map(async (one) => view.sessions.create(record(n, { id: one, owner: null }))));
  }
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const after = await sizes();
  const grown = (name) => ((after.get(name) - before.get(name)) / sessions).toFixed(0);
  console.log(
    `${sessions} idle sessions, made in ${seconds} s: ${grown('sessions')} + ${grown('handshakes')} bytes each`,
  );
  const counting = performance.now();
  const count = await view.sessions.count();
  console.log(`count() = ${count} in ${(performance.now() - counting).toFixed(1)} ms`);
  await measure(
    `claim one of ${sessions}`,
    1,
    (n) => view.sessions.claim(some[n % some.length], 1, FENCE.owner),
    some.length,
  );
  const calls = 100;
  const owned = Array.from({ length: 100 }, (_, n) => id(n));
  for (const [n, one] of owned.entries()) await view.sessions.create(record(n, { id: one }));
  const emptied = await sizes();
  for (let n = 0; n < calls; n++) {
    const append = { fence: FENCE, stream: `p1x${n}`, from: 0, events: ['', RESULT], complete: true };
    await Promise.all(owned.map(async (sessionId) => view.events.append({ ...append, sessionId })));
  }
  const logged = (await sizes()).get('events') - emptied.get('events');
  console.log(`a logged call with ${RESULT.length} bytes: ${(logged / calls / owned.length).toFixed(0)} bytes`);
  await view.close();
}

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
try {
  await measureOperations();
  await measureMailbox();
  if (sessions > 0) await measureSize();
} finally {
  await asked.end();
  await server?.close();
}
