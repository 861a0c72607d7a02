/**
 * `npm run call-files`: how many files, exported functions, classes, mutable fields and state machines one call runs
 * through. V8's coverage tells which functions of `dist/` were entered between the head of the request and the end of
 * its answer.
 *
 * A file counts when one of its functions was entered in each of `ROUNDS` calls, and a function when each call entered
 * it, so that a timer that fires beside one of them does not. `src/{options,errors,stores,testing}` do not count. A leaf is a file that imports no other file of
 * `src/`; it counts, and its number is printed apart. A field of an entered class is mutable unless it is `readonly`.
 * `--list WAY` prints the files, machines and mutable fields of one way.
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
const ROUNDS = 20;
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

const textOf = (folder, file) => readFileSync(join(root, folder, file), 'utf8');

/** The fields of a class that may change: `class` from its head to its end, as `src/` has it. */
function mutableFields(source, name) {
  const [body = ''] = new RegExp(`^(?:export )?(?:abstract )?class ${name}\\b[^]*?^\\}`, 'm').exec(source) ?? [];
  const fields = body.matchAll(/^ {2}(?:declare |override |private |protected |public )*(#?\w+)[?!]?(?::| =|;)/gm);
  const parameters = body.matchAll(/^ {4}(?:private|protected|public) (?!readonly)(\w+)[?]?:/gm);
  return [...fields, ...parameters].map(([, field]) => `${name}.${field}`);
}

/** What was entered of a file: exported functions, classes with their mutable fields, steps of state machines. */
function partsOf(file, ran) {
  const text = textOf('dist', file.replace(/\.ts$/, '.js'));
  const within = (start, end) => ran.some((one) => one.start >= start && one.end <= end);
  const classes = [...text.matchAll(/^(?:export )?class (\w+)[^]*?^\}/gm)]
    .filter(({ index, 0: body }) => within(index, index + body.length))
    .map(([, name]) => name);
  const functions = [...text.matchAll(/^export ((?:async )?function\*? (\w+))/gm)]
    .filter(({ index }) => ran.some(({ start }) => start >= index && start <= index + 'export '.length))
    .map(([, , name]) => `${file}:${name}`);
  const machines = [...text.matchAll(/(?<![.#\w])follow\((\w+), this/g)]
    .filter(({ index }) => ran.some(({ start, end }) => start < index && index < end && end - start < 400))
    .map(([, name]) => `${file}:${name}`);
  const source = textOf('src', file);
  return { classes, functions, machines, fields: classes.flatMap((name) => mutableFields(source, name)) };
}

const counts = (file) => !UNCOUNTED.test(file);
const isLeaf = (file) => !IMPORT.test(textOf('src', file));

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
  // What only some of the calls enter comes from what happens beside them: a timer, a turn that another process made long.
  const key = ({ start, end }) => `${start}-${end}`;
  const parts = files.map((file) => {
    const others = rounds.map((round) => new Set(round.get(file).map(key)));
    return partsOf(
      file,
      rounds[0].get(file).filter((one) => others.every((ran) => ran.has(key(one)))),
    );
  });
  return {
    files,
    leaves: files.filter(isLeaf),
    functions: parts.flatMap(({ functions }) => functions),
    classes: parts.flatMap(({ classes }) => classes),
    fields: parts.flatMap(({ fields }) => fields),
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

/** Measures each way. Resolves with what `measure` returns, by the name of the way. */
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
    for (const [way, { files, leaves, functions, classes, fields, machines }] of Object.entries(results)) {
      const figures = [
        `${files.length} files (${leaves.length} of them leaves)`,
        `${functions.length} exported functions`,
        `${classes.length} classes`,
        `${fields.length} mutable fields`,
        `${machines.length} machines`,
      ];
      console.log(`${way.padEnd(17)} ${figures.join(', ')}`);
      if (only !== undefined) {
        console.log([...files, '', ...machines, '', ...fields].map((line) => `  ${line}`).join('\n'));
      }
    }
  }
}
