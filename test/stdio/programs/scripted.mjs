/**
 * A program on stdio that obeys its arguments and its calls. It speaks plain JSON-RPC, of 2025 and,
 * with `modern`, of 2026-07-28; with `only` no other. `stubborn`: it ignores the end of stdin and
 * SIGTERM, and leaves a grandchild in its group and one in a session of its own. `curious`: it asks
 * for roots when it is initialized, and uses them a turn after their answer. `slow`: 50 ms after
 * it, and its answer to a ping comes before. `heavy`: it takes 500 ms to start. `late FILE`: it answers `initialize` when
 * there is no such file, `patient FILE`: what a client sets. `mute`: it never lists its tools, `signedOut FILE`: not as
 * long as there is such a file. `old`: it refuses versions after 2025-03-26. `undeclared`: it writes log messages without
 * the capability. `strict`: a request before `initialized` ends it, `shy`: `server/discover` does.
 */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setImmediate, setTimeout as pause } from 'node:timers/promises';

class Refusal extends Error {
  constructor(code, message, data) {
    super(message);
    Object.assign(this, { code, data });
  }
}

const has = (word) => process.argv.includes(word);
const MODERN = '2026-07-28';
const state = { count: 0, id: 0, level: 'none', uris: [], hello: [], initialized: 0, progress: [] };
const asked = new Map();
const running = new Map();
const listens = new Map();
const write = (message) =>
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const notify = (method, params) => write({ method, params });
/** What changed: to each listen of 2026-07-28, or as 2025 has it. */
const tell = (method, params = {}) => {
  const isHeard = ({ resourceSubscriptions: uris = [] }) =>
    !params.uri || uris.includes(params.uri);
  if (!has('modern') || state.hello.length > 0) return notify(method, params);
  for (const [id, filter] of listens)
    if (isHeard(filter))
      notify(method, { ...params, _meta: { 'io.modelcontextprotocol/subscriptionId': id } });
};
const text = (value) => ({
  content: [{ type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) }],
});
const ask = (method, params = {}) =>
  new Promise((resolve) => {
    const id = `q${(state.id += 1)}`;
    asked.set(id, resolve);
    write({ id, method, params });
  });
const QUESTIONS = {
  elicit: [
    'elicitation/create',
    {
      message: 'your name?',
      requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
    },
  ],
  sample: [
    'sampling/createMessage',
    { messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }], maxTokens: 9 },
  ],
  roots: ['roots/list', {}],
};
const URLS = [{ mode: 'url', elicitationId: 'u', url: 'https://a.example/', message: 'go there' }];
const toldModern = ({ inputResponses }, names) =>
  inputResponses === undefined
    ? {
        resultType: 'input_required',
        inputRequests: Object.fromEntries(
          names.map((name) => [name, { method: QUESTIONS[name][0], params: QUESTIONS[name][1] }]),
        ),
        requestState: 'mine',
      }
    : text(names.map((name) => inputResponses[name]));

const TOOLS = {
  echo: ({ text: given = '' }) => text(given),
  count: () => text((state.count += 1)),
  look: () =>
    text({ ...state, held: undefined, pid: process.pid, env: process.env, cwd: process.cwd() }),
  die: ({ code = 3 }) => (console.error('secret words'), process.exit(code)),
  dieOnce: ({ file }) =>
    existsSync(file) ? text('second run') : (writeFileSync(file, ''), process.exit(1)),
  wait: ({ ms = 600_000 }, { id }) =>
    new Promise((done) =>
      (console.error('began wait'), running).set(
        id,
        setTimeout(() => done(text('waited')), ms),
      ),
    ),
  progress: ({ _ }, { meta }) => (
    notify('notifications/progress', { progressToken: meta.progressToken, progress: 1 }),
    text('done')
  ),
  log: () => (notify('notifications/message', { level: 'info', data: 'logged' }), text('done')),
  change: () => (tell('notifications/tools/list_changed'), text('done')),
  update: ({ uri }) => (tell('notifications/resources/updated', { uri }), text('done')),
  tell: ({ method, params }) => (notify(method, params), text('done')),
  noise: () => (process.stdout.write('no JSON\n'), text('heard')),
  long: () => process.stdout.write('x'.repeat(34 * 1024 * 1024)) && new Promise(() => {}),
  grow: ({ megabytes }) => ((state.held = Buffer.alloc(megabytes * 1e6, 1)), new Promise(() => {})),
  deep: () => {
    const levels = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const asked = `"id":"deep","method":"elicitation/create","params":{"message":${levels}}`;
    process.stdout.write(`{"jsonrpc":"2.0",${asked}}\n`);
    return new Promise(() => {});
  },
  deaf: () => (process.stdin.pause(), setInterval(() => {}, 1_000), new Promise(() => {})),
  url: ({ file }) => {
    if (existsSync(file)) return text('been there');
    writeFileSync(file, '');
    throw new Refusal(-32042, 'go there', { elicitations: URLS });
  },
  askSlowly: async () => {
    const [method, params] = QUESTIONS.sample;
    return text([
      await ask(method, { ...params, _meta: { progressToken: 'mine' } }),
      state.progress,
    ]);
  },
  askLoudly: async () => text(await ask(...QUESTIONS.elicit)),
  askInTurn: async () => text([await ask(...QUESTIONS.elicit), await ask(...QUESTIONS.sample)]),
  ask: async ({ kinds }, { params, modern }) =>
    modern
      ? toldModern(params, kinds)
      : text(await Promise.all(kinds.map((kind) => ask(...QUESTIONS[kind])))),
};
const HARMLESS = ['echo', 'dieOnce', 'ask', 'askInTurn'];
const schema = { type: 'object', properties: {} };
const mirrored = { ...schema, properties: { in: { type: 'string', 'x-mcp-header': 'In' } } };
const tools = Object.keys(TOOLS).map((name) => ({
  name,
  inputSchema: name === 'count' ? mirrored : schema,
  ...(HARMLESS.includes(name) && { annotations: { readOnlyHint: true } }),
}));
const INFO = { name: 'scripted', version: '1.0.0' };
const capabilities = {
  tools: { listChanged: true },
  resources: { subscribe: true },
  ...(!has('undeclared') && { logging: {} }),
};

const fileIsGone = async () => {
  while (existsSync(process.argv.at(-1))) await pause(20);
  return {};
};
const set = (what) => (console.error(`set ${what}`), has('patient') ? fileIsGone() : {});

const METHODS = {
  initialize: async ({ protocolVersion, capabilities: can, clientInfo }) => {
    if (has('late')) await fileIsGone();
    if (has('heavy')) await pause(500);
    if (has('only')) throw new Refusal(-32022, `only ${MODERN}`);
    if (has('old') && protocolVersion > '2025-03-26')
      throw new Refusal(-32602, 'Unsupported protocol version', { requested: protocolVersion });
    state.hello.push(clientInfo.name, ...Object.keys(can));
    return { protocolVersion, capabilities, serverInfo: INFO, instructions: 'be kind' };
  },
  'server/discover': () => {
    if (has('shy')) process.exit(4);
    if (!has('modern')) throw new Refusal(-32601, 'Method not found');
    return {
      resultType: 'complete',
      supportedVersions: [MODERN],
      capabilities,
      _meta: { 'io.modelcontextprotocol/serverInfo': INFO },
      ttlMs: 0,
      cacheScope: 'private',
    };
  },
  ping: async () => (has('slow') && (await rooted), {}),
  'tools/list': () => {
    if (has('signedOut') && existsSync(process.argv.at(-1)))
      throw new Refusal(-32001, 'sign in first', { at: 'https://a.example/' });
    return has('mute') ? new Promise(() => {}) : { tools, ttlMs: 0, cacheScope: 'private' };
  },
  'resources/list': () => ({
    resources: [{ uri: 'mem://a', name: process.env.KEY ?? 'a' }],
    ttlMs: 0,
    cacheScope: 'private',
  }),
  'resources/read': ({ uri }) => {
    throw new Refusal(-32002, 'Resource not found', { uri });
  },
  'resources/subscribe': ({ uri }) => (state.uris.push(uri), set(uri)),
  'resources/unsubscribe': ({ uri }) => (
    (state.uris = state.uris.filter((one) => one !== uri)),
    {}
  ),
  'subscriptions/listen': ({ notifications }, id) => {
    listens.set(id, notifications);
    state.uris = notifications.resourceSubscriptions;
    notify('notifications/subscriptions/acknowledged', { notifications });
    return new Promise(() => {});
  },
  'logging/setLevel': ({ level }) => ((state.level = level), set(level)),
  'tools/call': (params, id) => {
    const meta = params._meta ?? {};
    const tool = TOOLS[params.name];
    if (tool === undefined) throw new Refusal(-32602, 'no such tool');
    return tool(params.arguments ?? {}, {
      id,
      params,
      meta,
      modern: meta['io.modelcontextprotocol/protocolVersion'] === MODERN,
    });
  },
};

let rooted;
async function askRoots() {
  rooted = ask(...QUESTIONS.roots);
  const told = await rooted;
  await (has('slow') ? pause(50) : setImmediate());
  Object.assign(state, told);
}

async function take({ id, method, params = {}, result, error }) {
  if (method === undefined) return asked.get(id)?.(result ?? { error });
  if (method === 'notifications/cancelled') {
    listens.delete(params.requestId);
    if (running.has(params.requestId)) console.error('cancelled wait');
    return clearTimeout(running.get(params.requestId));
  }
  if (method === 'notifications/progress') state.progress.push(params);
  if (method === 'notifications/initialized') {
    state.initialized += 1;
    if (has('curious')) return askRoots();
  }
  if (has('strict') && !state.initialized && method.includes('/') && method !== 'server/discover')
    process.exit(4);
  if (id === undefined) return;
  try {
    if (METHODS[method] === undefined) throw new Refusal(-32601, 'Method not found');
    const isModern = params._meta?.['io.modelcontextprotocol/protocolVersion'] === MODERN;
    write({
      id,
      result: {
        ...(isModern && { resultType: 'complete' }),
        ...(await METHODS[method](params, id)),
      },
    });
  } catch ({ code = -32603, message, data }) {
    write({ id, error: { code, message, ...(data && { data }) } });
  }
}

if (has('broken')) {
  console.error('cannot find API_KEY');
  process.exit(3);
}
if (has('stubborn')) {
  process.on('SIGTERM', () => {});
  setInterval(() => {}, 1_000);
  const sleep = ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'];
  for (const detached of [false, true])
    spawn(process.execPath, sleep, { detached, stdio: 'ignore' });
}
createInterface({ input: process.stdin }).on('line', (line) => void take(JSON.parse(line)));
