/**
 * What the SQLite store costs by itself, without HTTP and without a server: `npm run build`, then
 * `node bench/store-sqlite.mjs [--sessions 100000] [--synchronous full] [--folder /var/tmp] [--operations 20000]`.
 *
 * Latencies are of one caller that waits for each answer; "16 together" are 16 callers in one event-loop turn, per
 * operation. CPU is that of the process, its file system calls included, checkpoints too.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sqlite } from '../dist/stores/sqlite/index.js';
import { systemRandom, systemTime } from '../dist/system.js';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '100000' },
    operations: { type: 'string', default: '20000' },
    synchronous: { type: 'string', default: 'normal' },
    folder: { type: 'string', default: tmpdir() },
  },
});
const [sessions, operations] = [Number(values.sessions), Number(values.operations)];
const folder = mkdtempSync(join(values.folder, 'sojourn-bench-'));
const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

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

const fileBytes = (path) =>
  ['', '-wal'].reduce((sum, suffix) => sum + (statSync(path + suffix, { throwIfNoEntry: false })?.size ?? 0), 0);
const microseconds = (ms) => (ms * 1_000).toFixed(1).padStart(9);

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

async function measureOperations() {
  const view = await sqlite({ path: join(folder, 'operations.db'), synchronous: values.synchronous }).open(OPTIONS);
  const spread = 64;
  for (let n = 0; n < spread; n++) await view.sessions.create(record(n));
  let stream = 0;
  const call = (session, more) =>
    view.events.append({
      sessionId: id(session),
      fence: FENCE,
      stream: `p1x${(stream++).toString(36)}`,
      from: 0,
      events: ['', RESULT],
      complete: true,
      ...more,
    });
  console.log(`synchronous=${values.synchronous}, ${operations} operations each, µs`);
  console.log(''.padEnd(46), ['p50', 'p99', 'p99.9', 'per op', 'CPU/op'].map((name) => name.padStart(9)).join(' '));
  await measure('read a record', 1, async (n) => view.sessions.read(id(n % spread)));
  await measure('save (compare-and-set)', 1, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await measure('save, 16 together', 16, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await measure('save one key of state', 1, (n) =>
    view.sessions.save(id(n % spread), FENCE, { state: { cart: `${n}` } }),
  );
  await measure('create', 1, (n) => view.sessions.create(record(spread + n)));
  await measure('claim', 1, (n) => view.sessions.claim(id(spread + n), 1, FENCE.owner));
  await measure('mark', 1, (n) => view.sessions.mark(id(n % spread), FENCE, { request: `${n}`, stream: 'p' }));
  await measure('append a call, one session', 1, () => call(0));
  await measure('append a call, one session, 16 together', 16, () => call(0));
  await measure(`append a call, ${spread} sessions`, 1, (n) => call(n % spread));
  await measure(`append a call, ${spread} sessions, 16 together`, 16, (n) => call(n % spread));
  const marked = async () => {
    const request = `${stream++}`;
    const name = `p1x${request}`;
    const place = { sessionId: id(0), fence: FENCE, stream: name };
    await view.events.append({ ...place, from: 0, events: [''], requests: CALL, mark: { request, stream: name } });
    await view.events.append({ ...place, from: 1, events: [RESULT], complete: true, unmark: request });
  };
  await measure('a call that may not be repeated, 2 appends', 1, marked);
  await measure('a call that may not be repeated, 16 together', 16, marked);
  await view.close();
}

async function measureMailbox() {
  const path = join(folder, 'mailbox.db');
  const views = await Promise.all([sqlite(path).open(OPTIONS), sqlite(path).open(OPTIONS)]);
  let answered;
  const [one, other] = views;
  await one.instances.announce({ id: 'one', state: 'serving', version: '1' }, () => answered());
  await other.instances.announce({ id: 'other', state: 'serving', version: '1' }, (from, message) => {
    void other.instances.send('other', from, message);
  });
  await measure('message and answer, two mailboxes, one process', 1, () => {
    const answer = new Promise((resolve) => (answered = resolve));
    void one.instances.send('one', 'other', { kind: 'call', body: RESULT });
    return answer;
  });
  for (const view of views) await view.close();
}

async function measureFile() {
  const path = join(folder, 'sessions.db');
  const view = await sqlite({ path, synchronous: values.synchronous }).open(OPTIONS);
  const empty = fileBytes(path);
  const started = performance.now();
  const some = [];
  for (let n = 0; n < sessions; n += 500) {
    const ids = Array.from({ length: Math.min(500, sessions - n) }, () =>
      Buffer.from(systemRandom(16)).toString('base64url'),
    );
    if (ids[0] !== undefined) some.push(ids[0]);
    const group = ids.map(async (one) => view.sessions.create(record(n, { id: one, owner: null })));
    await Promise.all(group);
  }
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const before = performance.now();
  const count = await view.sessions.count();
  const counted = (performance.now() - before).toFixed(2);
  const { rss } = process.memoryUsage();
  await measure(
    `claim one of ${sessions}`,
    1,
    (n) => view.sessions.claim(some[n % some.length], 1, FENCE.owner),
    some.length,
  );
  await view.close();
  const each = ((fileBytes(path) - empty) / sessions).toFixed(0);
  console.log(`${sessions} identical idle sessions: ${each} bytes of file each, made in ${seconds} s;`);
  console.log(`count() = ${count} in ${counted} ms; the process has ${(rss / 1e6).toFixed(0)} MB`);
}

// Mailboxes keep no process alive.
const alive = setInterval(() => undefined, 1_000);
console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${folder}`);
try {
  await measureOperations();
  await measureMailbox();
  await measureFile();
} finally {
  clearInterval(alive);
  rmSync(folder, { recursive: true });
}
