/**
 * What the Redis store costs by itself, without HTTP: `npm run build`, then `npx tsx bench/store-redis.mjs
 * [--url redis://…] [--sessions 100000] [--operations 20000] [--only TEXT] [--fsync always] [--structures]`. Without a URL it
 * has a server of its own, with an append-only file.
 *
 * Latencies are of one caller that waits for each answer; "16 together" are 16 callers in one event-loop turn, per
 * operation. CPU is that of this process; `server` is what the server says of its own. `--structures` measures what the log
 * could be kept in instead.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { createClient } from 'redis';
import { redis } from '../dist/stores/redis/index.js';
import { systemRandom, systemTime } from '../dist/system.js';
import { startServer } from '../test/kit/servers/start.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    sessions: { type: 'string', default: '100000' },
    operations: { type: 'string', default: '20000' },
    only: { type: 'string', default: '' },
    fsync: { type: 'string', default: 'everysec' },
    structures: { type: 'boolean', default: false },
  },
});
const [sessions, operations] = [Number(values.sessions), Number(values.operations)];
const server =
  values.url === undefined
    ? await startServer('redis', { args: ['--appendonly', 'yes', '--appendfsync', values.fsync] })
    : undefined;
const url = values.url ?? server.url;
const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

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

const asker = await createClient({ url, RESP: 2 }).connect();
const fact = async (section, name) =>
  Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(await asker.sendCommand(['INFO', section]))?.[1]);
const serverCpuMs = async () => ((await fact('cpu', 'used_cpu_user')) + (await fact('cpu', 'used_cpu_sys'))) * 1_000;
const usedMemory = () => fact('memory', 'used_memory');

const microseconds = (ms) => (ms * 1_000).toFixed(1).padStart(9);

/** `run(n)` starts operation `n`; `together` of them are started in one turn and waited for. */
async function measure(name, together, run, count = operations) {
  if (!name.includes(values.only)) return;
  const warmUp = Math.ceil(count / 10 / together) * together;
  for (let n = 0; n < warmUp; n += together) await Promise.all(Array.from({ length: together }, (_, i) => run(n + i)));
  const latencies = [];
  const [before, cpu, started] = [await serverCpuMs(), process.cpuUsage(), performance.now()];
  for (let n = 0; n < count; n += together) {
    const asked = performance.now();
    if (together === 1) await run(warmUp + n);
    else await Promise.all(Array.from({ length: together }, (_, i) => run(warmUp + n + i)));
    latencies.push((performance.now() - asked) / together);
  }
  const [wallMs, used] = [performance.now() - started, process.cpuUsage(cpu)];
  const ofServer = (await serverCpuMs()) - before;
  latencies.sort((a, b) => a - b);
  const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))];
  const cpuMs = (used.user + used.system) / 1_000;
  const columns = [at(0.5), at(0.99), wallMs / count, cpuMs / count, ofServer / count].map(microseconds);
  console.log(name.padEnd(50), columns.join(' '));
}

async function measureOperations() {
  const view = await redis(url).open(OPTIONS);
  const spread = 64;
  for (let n = 0; n < spread; n++) await view.sessions.create(record(n));
  let stream = 0;
  const call = (session) =>
    view.events.append({
      sessionId: id(session),
      fence: FENCE,
      stream: `p1x${(stream++).toString(36)}`,
      from: 0,
      events: ['', RESULT],
      complete: true,
    });
  console.log(`${operations} operations each, µs`);
  console.log(''.padEnd(50), ['p50', 'p99', 'per op', 'CPU/op', 'server'].map((name) => name.padStart(9)).join(' '));
  await measure('read a record', 1, (n) => view.sessions.read(id(n % spread)));
  await measure('save (compare-and-set)', 1, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await measure('save, 16 together', 16, (n) => view.sessions.save(id(n % spread), FENCE, { activeAt: n }));
  await measure('save one key of state', 1, (n) =>
    view.sessions.save(id(n % spread), FENCE, { state: { cart: `${n}` } }),
  );
  await measure('create', 1, (n) => view.sessions.create(record(spread + n)), operations / 4);
  await measure('claim, of a dead owner', 1, (n) => view.sessions.claim(id(spread + n), 1, 'me'), operations / 4);
  await measure('release', 1, (n) => view.sessions.release(id(spread + n), { epoch: 2, owner: 'me' }), operations / 4);
  await measure('end', 1, (n) => view.sessions.end(id(spread + n), null, 'deleted'), operations / 4);
  await measure('mark', 1, (n) => view.sessions.mark(id(n % spread), FENCE, { request: `${n % 9}`, stream: 'p' }));
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
  await measure('replay the last call of 500', 1, () =>
    view.events.replay(id(0), `p1x${(stream - 1).toString(10)}`, 0),
  );
  await view.close();
}

async function measureMailbox() {
  const views = await Promise.all([redis(url).open(OPTIONS), redis(url).open(OPTIONS)]);
  let answered;
  const [one, other] = views;
  await one.instances.announce({ id: 'one', state: 'serving', version: '1' }, () => answered());
  await other.instances.announce({ id: 'other', state: 'serving', version: '1' }, (from, message) => {
    void other.instances.send('other', from, message);
  });
  const trip = (body) => () => {
    const answer = new Promise((resolve) => (answered = resolve));
    void one.instances.send('one', 'other', { kind: 'call', body });
    return answer;
  };
  await measure('message and answer, two mailboxes, one process', 1, trip(RESULT));
  await measure('message and answer of 2 MB', 1, trip('x'.repeat(2_000_000)), operations / 100);
  await measure('renew a lease', 1, () => one.instances.renew('one', 'serving'));
  for (const view of views) await view.close();
}

async function measureMemory() {
  const view = await redis(url).open({ ...OPTIONS, name: `${OPTIONS.name}-memory` });
  const empty = await usedMemory();
  const started = performance.now();
  const ids = [];
  for (let n = 0; n < sessions; n += 500) {
    const some = Array.from({ length: Math.min(500, sessions - n) }, () =>
      Buffer.from(systemRandom(16)).toString('base64url'),
    );
    await Promise.all(some.map(async (one) => view.sessions.create(record(n, { id: one, owner: null }))));
    ids.push(...some);
  }
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const each = ((await usedMemory()) - empty) / sessions;
  const body = Buffer.byteLength(JSON.stringify(record(0)));
  console.log(
    `${sessions} idle sessions (${body} bytes of JSON each): ${each.toFixed(0)} bytes each, made in ${seconds} s`,
  );
  const counted = performance.now();
  const count = await view.sessions.count();
  console.log(`count() = ${count} in ${(performance.now() - counted).toFixed(1)} ms`);
  const logging = ids.slice(0, Math.min(1_000, sessions));
  const owned = await Promise.all(logging.map(async (one) => view.sessions.claim(one, 1, FENCE.owner)));
  if (owned.some(({ claimed }) => !claimed)) throw new Error('not claimed');
  for (const calls of [1, 10, 100]) {
    const before = await usedMemory();
    for (let n = 0; n < calls; n++) {
      await Promise.all(
        logging.map(async (sessionId) =>
          view.events.append({
            sessionId,
            fence: { epoch: 2, owner: FENCE.owner },
            stream: `p${calls}x${n.toString(36)}`,
            from: 0,
            events: ['', RESULT],
            complete: true,
          }),
        ),
      );
    }
    const perCall = ((await usedMemory()) - before) / logging.length / calls;
    console.log(
      `${calls} more logged calls of each of ${logging.length} sessions: ${perCall.toFixed(0)} bytes per call`,
    );
  }
  await view.close();
}

/** A fenced append to a list, a stream and a hash, each with the names of its streams where it needs them. */
const FENCED = `
local head = redis.call('HMGET', KEYS[1], 'f', 'c')
if head[1] ~= ARGV[1] then return 'F' end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 'w', ARGV[4], 'c', ARGV[4] .. ' ' .. now)
`;
const NEW = `if redis.call('HSETNX', KEYS[3], ARGV[2], '') == 0 then return 'F' end\n`;
const STRUCTURES = {
  list: `${FENCED}${NEW}redis.call('RPUSH', KEYS[2], now .. ' ' .. ARGV[4] .. ' ' .. ARGV[2] .. ARGV[3]) return 'W'`,
  stream: `${FENCED}${NEW}redis.call('XADD', KEYS[2], '*', 's', ARGV[2], 'n', ARGV[4], 'd', ARGV[3]) return 'W'`,
  hash: `${FENCED}if redis.call('HSETNX', KEYS[2], ARGV[2], now .. ' ' .. ARGV[4] .. ' ' .. ARGV[3]) == 0 then return 'F' end return 'W'`,
};

async function measureStructures() {
  for (const [name, lua] of Object.entries(STRUCTURES)) {
    const sha = await asker.sendCommand(['SCRIPT', 'LOAD', lua]);
    for (const calls of [2, 50, 500]) {
      await asker.sendCommand(['FLUSHALL']);
      const count = Math.max(20, Math.floor(20_000 / calls));
      const keys = Array.from({ length: count }, (_, n) => ['r', 'l', 'k'].map((key) => `bench:{${id(n)}}:${key}`));
      for (const [head] of keys) await asker.sendCommand(['HSET', head, 'f', '1 me', 'c', '', 'w', '']);
      const [empty, cpu] = [await usedMemory(), await serverCpuMs()];
      for (let n = 0; n < calls; n++) {
        const args = ['1 me', `p1x${n.toString(36)}`, `\x1e${RESULT}`, String(n)];
        for (let first = 0; first < count; first += 64) {
          const some = keys.slice(first, first + 64);
          await Promise.all(some.map((of) => asker.sendCommand(['EVALSHA', sha, '3', ...of, ...args])));
        }
      }
      const used = ((await serverCpuMs()) - cpu) / (count * calls);
      const bytes = ((await usedMemory()) - empty) / count;
      const each = `${bytes.toFixed(0).padStart(7)} bytes per session, ${(bytes / calls).toFixed(0).padStart(5)} per call`;
      console.log(
        `${name.padEnd(7)} ${String(calls).padStart(4)} calls: ${each}, ${(used * 1_000).toFixed(1)} µs of the server`,
      );
    }
  }
}

const version = /^redis_version:(.*?)\r?$/m.exec(await asker.sendCommand(['INFO', 'server']))?.[1];
console.log(`Node ${process.version}, Redis ${version}, ${cpus().length} × ${cpus()[0]?.model}`);
try {
  if (values.structures) await measureStructures();
  else {
    await measureOperations();
    await measureMailbox();
    await measureMemory();
  }
} finally {
  asker.destroy();
  await server?.close();
}
