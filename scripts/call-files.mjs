/**
 * `npm run call-files`: how many files, classes and state machines one call runs through. V8's coverage tells which
 * functions of `dist/` were entered between the head of the request and the end of its answer.
 *
 * A file counts when one of its functions was entered in each of `ROUNDS` calls, so that a timer that fires beside one
 * of them does not. `src/{options,errors,stores,testing}` and files that import no other file of `src/` do not count.
 * `--list WAY` prints the files of one way.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = pathToFileURL(join(root, 'dist/')).href;
const UNCOUNTED = /^(?:options|errors|stores|testing)(?:\/|\.)/;
const IMPORT = /(?:\bfrom\s+|\bimport\s*\(?\s*)'(\.[^']+)'/;
const ROUNDS = 5;
const MODERN = '2026-07-28';

/** The names of the ways, in the order in which they are printed. */
export const WAYS = ['live', 'durable', 'relayed', 'resumed', 'modern', 'modern-resumable', 'modern-returning'];

const load = async (path) => await import(new URL(path, dist).href);

/** The functions of `dist/` that were entered since the last call, as `{ file: [{ start, end }] }`. */
async function entered(session) {
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const files = new Map();
  for (const { url, functions } of result) {
    if (!url.startsWith(dist)) continue;
    const ran = functions.filter(({ ranges: [range] }) => range.count > 0 && range.startOffset > 0);
    if (ran.length === 0) continue;
    const file = url.slice(dist.length).replace(/\.js$/, '.ts');
    files.set(
      file,
      ran.map(({ ranges: [range] }) => ({ start: range.startOffset, end: range.endOffset })),
    );
  }
  return files;
}

/** The classes with a function among `ran`, and the state machines that took a step in them. */
function partsOf(file, ran) {
  const text = readFileSync(join(root, 'dist', file.replace(/\.ts$/, '.js')), 'utf8');
  const within = (start, end) => ran.some((one) => one.start >= start && one.end <= end);
  const classes = [...text.matchAll(/^(?:export )?class (\w+)[^]*?^\}/gm)]
    .filter(({ index, 0: body }) => within(index, index + body.length))
    .map(([, name]) => name);
  const machines = [...text.matchAll(/(?<![.#\w])follow\((\w+), this/g)]
    .filter(({ index }) => ran.some(({ start, end }) => start < index && index < end && end - start < 400))
    .map(([, name]) => `${file}:${name}`);
  return { classes, machines };
}

const counts = (file) => !UNCOUNTED.test(file) && IMPORT.test(readFileSync(join(root, 'src', file), 'utf8'));

/** Runs `call` some times and returns what every run entered. `call` awaits its argument where the count begins. */
async function measure(session, call) {
  await call();
  const rounds = [];
  for (let n = 0; n < ROUNDS; n += 1) {
    await turn();
    await call(async () => void (await entered(session)));
    await turn();
    rounds.push(await entered(session));
  }
  const always = [...rounds[0].keys()].filter((file) => rounds.every((round) => round.has(file)));
  const files = always.filter(counts).sort();
  const parts = files.map((file) =>
    partsOf(
      file,
      rounds.flatMap((round) => round.get(file)),
    ),
  );
  return {
    files,
    classes: parts.flatMap(({ classes }) => classes),
    machines: parts.flatMap(({ machines }) => machines),
  };
}

const quiet = () => {};
const SILENT = { debug: quiet, info: quiet, warn: quiet, error: quiet, fatal: quiet };
const TOOL = { content: [{ type: 'text', text: 'done' }] };

async function createServer() {
  const { McpServer } = await import('@modelcontextprotocol/server');
  const server = new McpServer({ name: 'counted', version: '1.0.0' });
  const held = [];
  server.registerTool('now', { description: 'Answers at once' }, () => TOOL);
  server.registerTool(
    'hold',
    { description: 'Answers later' },
    () => new Promise((done) => held.push(() => done(TOOL))),
  );
  return { server, held };
}

const envelope = () => ({
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientInfo': { name: 'counter', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
});

const modernHeaders = (name) => ({
  'mcp-protocol-version': MODERN,
  'mcp-method': 'tools/call',
  'mcp-name': name,
});

const modernCall = (client, name) =>
  client.post(
    { jsonrpc: '2.0', id: client.nextId(), method: 'tools/call', params: { name, arguments: {}, _meta: envelope() } },
    { sessionId: null, headers: modernHeaders(name) },
  );

async function until(condition) {
  for (let n = 0; n < 2_000 && !condition(); n += 1) await new Promise((done) => setTimeout(done, 5));
  if (!condition()) throw new Error('The state that the count waits for did not come');
}

/** Measures each way. Resolves with `{ way: { files, classes, machines } }`. */
export async function countCallFiles(ways = WAYS) {
  const { createMcpEndpoint } = await load('index.js');
  const { sqlite } = await load('stores/sqlite/index.js');
  const { RawClient } = await load('testing/index.js');
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-call-files-'));
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  const closing = [];
  const open = async (options = {}) => {
    const { server, held } = await createServer();
    const endpoint = createMcpEndpoint(server, { logger: SILENT, ...options });
    const { url } = await endpoint.listen({ port: 0 });
    const client = new RawClient(url);
    closing.push(
      () => client.close(),
      () => endpoint.close(),
    );
    return { endpoint, client, held };
  };
  const shared = (extra = {}) => ({ store: sqlite(join(folder, 'sessions.db')), name: 'counted', ...extra });
  const callNow = (client) => async (begin) => {
    await begin?.();
    await client.call('tools/call', { name: 'now', arguments: {} });
  };
  const scenes = {
    async live() {
      const { client } = await open();
      await client.initialize();
      return callNow(client);
    },
    async durable() {
      const { client } = await open(shared());
      await client.initialize();
      return callNow(client);
    },
    async relayed() {
      const [owner, other] = [await open(shared()), await open(shared())];
      await owner.client.initialize();
      other.client.sessionId = owner.client.sessionId;
      other.client.protocolVersion = owner.client.protocolVersion;
      return callNow(other.client);
    },
    async resumed() {
      const { client, held } = await open(shared());
      await client.initialize();
      return async (begin) => {
        const call = await client.post({
          jsonrpc: '2.0',
          id: client.nextId(),
          method: 'tools/call',
          params: { name: 'hold', arguments: {} },
        });
        const first = await call.next();
        await until(() => held.length > 0);
        call.abort();
        await begin?.();
        const back = await client.get({ lastEventId: first.id });
        held.pop()();
        await back.untilEnd();
      };
    },
    async modern() {
      const { client } = await open();
      return async (begin) => {
        await begin?.();
        await (await modernCall(client, 'now')).untilEnd();
      };
    },
    async 'modern-resumable'() {
      const { client, held } = await open(shared({ resumeModernCalls: true }));
      return async (begin) => {
        await begin?.();
        const call = await modernCall(client, 'hold');
        await until(() => held.length > 0);
        held.pop()();
        await call.untilEnd();
      };
    },
    async 'modern-returning'() {
      const { client, held } = await open(shared({ resumeModernCalls: true }));
      return async (begin) => {
        await begin?.();
        const call = await modernCall(client, 'hold');
        const first = await call.next();
        await until(() => held.length > 0);
        call.abort();
        const back = await client.get({ version: MODERN, sessionId: null, lastEventId: first.id });
        held.pop()();
        await back.untilEnd();
      };
    },
  };
  const results = {};
  try {
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    for (const way of ways) results[way] = await measure(session, await scenes[way]());
  } finally {
    for (const close of closing.toReversed()) await close();
    session.disconnect();
    rmSync(folder, { recursive: true, force: true });
  }
  return results;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const only = process.argv[2] === '--list' ? process.argv[3] : undefined;
  if (only !== undefined && !WAYS.includes(only)) {
    console.error(`'${only}' is no way. Name one of: ${WAYS.join(', ')}.`);
    process.exit(2);
  }
  const results = await countCallFiles(only === undefined ? WAYS : [only]);
  if (process.argv[2] === '--json') {
    console.log(JSON.stringify(results));
  } else {
    for (const [way, { files, classes, machines }] of Object.entries(results)) {
      console.log(`${way.padEnd(17)} ${files.length} files, ${classes.length} classes, ${machines.length} machines`);
      if (only !== undefined) console.log([...files, '', ...machines].map((line) => `  ${line}`).join('\n'));
    }
  }
}
