/**
 * One endpoint whose callers are named by the header `x-user`; prints its port. Run it with a small heap. With the
 * header `x-parsed` the application parses the body. Paths that begin with `/fetch` are the fetch face. A parent that
 * has a channel to this process asks for what the process holds: see `measured`.
 * First argument: options as JSON; with `spans` it has telemetry, whose spans wait for their export; with `kind` it is
 * what `limits/rows.test.ts` measures: `stalls` for a store that stops answering appends when the parent says so,
 * `idles` for a clock that the parent moves, `runs` for neither. Second: the URL of a Redis or PostgreSQL store, a path
 * for the SQLite store, or nothing for the memory store.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { getRequestListener } from '@hono/node-server';
import { inputRequired, McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { Core, EventBudget } from '../../../dist/internals.js';
import {
  createMcpEndpoint,
  currentSession,
  memory,
  once,
  RUNS_ONCE,
  task,
} from '../../../dist/index.js';
import { telemetry } from '../../../dist/endpoint/otel/index.js';
import { postgres } from 'sojourn-postgres';
import { redis } from 'sojourn-redis';
import { sqlite } from '../../../dist/stores/sqlite/index.js';
import { createFakeTime } from '../../../dist/testing/index.js';

const [json = '{}', target] = process.argv.slice(2);
const { spans, kind, ...options } = JSON.parse(json);

function storeAt(target) {
  if (target === undefined) return kind === 'stalls' && { store: stalling(memory()) };
  const open = target.startsWith('redis:')
    ? redis
    : target.startsWith('postgres')
      ? postgres
      : sqlite;
  return { store: open(target) };
}

/** Longer than an attack lasts. */
const ASK_MS = 30_000;

/** The server keeps its texts, so that a call makes no other text. */
const texts = new Map();
function textOf(characters) {
  if (!texts.has(characters)) texts.clear();
  if (texts.size === 0) texts.set(characters, Buffer.alloc(characters, 'x').toString('latin1'));
  return texts.get(characters);
}

const later = (ms) => new Promise((over) => setTimeout(over, ms));
const said = (text) => ({ content: [{ type: 'text', text }] });
const question = (message) => ({ message, requestedSchema: { type: 'object', properties: {} } });

let stalls = false;
/** What a store holds that does not answer. */
const unanswered = [];

/** Marks, and the openings of streams, are stored. */
const isMessage = ({ events = [] }) => events.some((json) => json.includes('"method"'));

function stalling(inner) {
  const records = (given, kind) =>
    new Proxy(given, {
      get(target, name) {
        const member = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        // The endpoint keeps the methods of its store.
        return (...request) => {
          const isHeld =
            (name === 'append' && isMessage(...request)) || (name === 'end' && kind === 'once');
          if (!stalls || !isHeld) return member.apply(target, request);
          unanswered.push(request);
          return new Promise(() => {});
        };
      },
    });
  return {
    kind: 'stalling',
    durable: true,
    async open(opened) {
      const view = await inner.open(opened);
      return { ...view, records: (of) => records(view.records(of), of.name) };
    },
  };
}

/** Longer than a measurement. */
const DAY_MS = 86_400_000;

/** Tools of `limits/rows.test.ts`. */
function addRowTools(server) {
  const inputSchema = z.looseObject({ count: z.number().default(1), text: z.string().default('') });
  server.registerTool('say', { inputSchema }, ({ count, text }) => said(text.repeat(count)));
  server.registerTool('askAll', { inputSchema }, ({ count, text }) => {
    for (let n = 0; n < count; n++)
      void server.server.elicitInput(question(`${n}${text}`)).catch(() => {});
    return said('asked');
  });
  server.registerTool('send', { inputSchema }, async ({ count, text }, { mcpReq }) => {
    for (let n = 0; n < count; n++) {
      void mcpReq.notify({
        method: 'notifications/message',
        params: { level: 'error', data: `${n}${text}` },
      });
      if (n % 100 === 0) await later(0);
    }
    await later(DAY_MS);
  });
  server.registerTool('keepAll', { inputSchema }, async ({ count, text }) => {
    for (let n = 0; n < count; n++) await currentSession()?.state.set(`key ${n}`, `${n}${text}`);
    return said('kept');
  });
  const pay = once(({ count, text }) => said(text.repeat(count)), { key: ({ key }) => key });
  server.registerTool('pay', { inputSchema, _meta: RUNS_ONCE }, pay);
  // A task that records values, or asks, and runs on.
  const remember = task(async ({ count, text, asks }, _, own) => {
    for (let n = 0; n < count; n++) {
      if (asks) void own.elicit(`q${n}`, question(`${n}${text}`)).catch(() => {});
      else await own.state.set(`key ${n}`, `${n}${text}`);
    }
    await later(DAY_MS);
  });
  server.registerTool('remember', { inputSchema }, remember);
  const continued = task(async (all, { mcpReq }) => {
    if (mcpReq.inputResponses === undefined)
      return inputRequired({ inputRequests: { sure: inputRequired.elicit(question('Sure?')) } });
    await later(DAY_MS);
    return said(Object.keys(all).join());
  });
  server.registerTool('continue', { inputSchema: z.looseObject({}) }, continued);
  return server;
}

/** Tasks that hold as much as one may, for as long as the client says. */
function addTasks(server) {
  const sizes = z.looseObject({ bytes: z.number().default(0), ms: z.number().default(0) });
  const taskOf = (name, handler) =>
    server.registerTool(name, { inputSchema: sizes }, task(handler));
  const over = said('over');
  taskOf('steps', async ({ bytes, ms }, _, own) => {
    for (let n = 0; n < 8; n++)
      await own.step(`s${n}`, () => `${n}${'ж'.repeat(bytes / 16)}`).catch(() => {});
    await later(ms);
    return over;
  });
  taskOf('values', async ({ bytes, ms }, _, own) => {
    for (let n = 0; n < 8; n++)
      await own.state.set(`v${n}`, `${n}${'ж'.repeat(bytes / 16)}`).catch(() => {});
    await later(ms);
    return over;
  });
  taskOf('questions', async ({ bytes, ms }, _, own) => {
    const asked = Array.from({ length: 8 }, (_, n) =>
      own.elicit(`q${n}`, question(`${n}${'ж'.repeat(bytes / 16)}`)),
    );
    asked.forEach((one) => one.catch(() => {}));
    await later(ms);
    return over;
  });
  taskOf('parks', ({ bytes }, { mcpReq }) =>
    mcpReq.inputResponses === undefined
      ? inputRequired({
          inputRequests: { sure: inputRequired.elicit(question('ж'.repeat(bytes / 2))) },
        })
      : later(30_000).then(() => over),
  );
  taskOf('detaches', (_, __, own) => own.detach(() => {}));
  taskOf('result', ({ bytes }) => said('x'.repeat(bytes)));
}

function factory(ctx) {
  const server = new McpServer(
    { name: 'small', version: '1' },
    { ...ctx.serverOptions, capabilities: { logging: {}, resources: { subscribe: true } } },
  );
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  // Keeps its arguments, and ignores the end of its request.
  server.registerTool('wait', { inputSchema: z.looseObject({ ms: z.number() }) }, async (given) => {
    await later(given.ms);
    return said(Object.keys(given).join());
  });
  // A task holds its server, so the servers that are measured have no other tools.
  if (kind !== undefined) return addRowTools(server);
  server.registerPrompt('greet', { argsSchema: z.object({ name: z.string() }) }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: name } }],
  }));
  const template = new ResourceTemplate('small://{name}', {
    list: undefined,
    complete: { name: (name) => [name] },
  });
  server.registerResource('small', template, {}, ({ href }) => ({
    contents: [{ uri: href, text: 'small' }],
  }));
  // Asks its client, who need not answer.
  server.registerTool('ask', { inputSchema: z.looseObject({}) }, async (given, { mcpReq }) => {
    const answer = await mcpReq
      .send({ method: 'roots/list' }, { timeout: ASK_MS })
      .catch(({ message }) => message);
    return said(JSON.stringify(answer) + Object.keys(given).length);
  });
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text }) =>
    said(text),
  );
  server.registerTool('big', { inputSchema: z.object({ bytes: z.number() }) }, ({ bytes }) =>
    said('x'.repeat(bytes)),
  );
  // A long message that ends its stream.
  server.registerTool(
    'last',
    { inputSchema: z.object({ bytes: z.number() }) },
    async ({ bytes }, { mcpReq }) => {
      await mcpReq.notify({
        method: 'notifications/message',
        params: { level: 'error', data: 'soon' },
      });
      return said('x'.repeat(bytes));
    },
  );
  const long = z.object({ events: z.number(), bytes: z.number() });
  server.registerTool('long', { inputSchema: long }, async ({ events, bytes }, { mcpReq }) => {
    for (let n = 0; n < events; n++) {
      await mcpReq.notify({
        method: 'notifications/message',
        params: { level: 'error', data: textOf(bytes) },
      });
    }
    return said('the end');
  });
  server.registerTool(
    'keep',
    { inputSchema: z.object({ value: z.string() }) },
    async ({ value }) => {
      await ctx.session.state.set('value', value);
      return said('kept');
    },
  );
  if (options.tasks) addTasks(server);
  // As servers do that ask for the roots when they changed: a client need not answer.
  server.server.setNotificationHandler('notifications/roots/list_changed', async (given) => {
    await later(8_000);
    return void Object.keys(given);
  });
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  return server;
}

/** The queue of an exporter that is slow has 2,048 spans. */
function waitingSpans() {
  const queue = [];
  const startSpan = (...given) => {
    const span = {
      setAttribute: (...more) => kept.push(more),
      setAttributes: (more) => kept.push(more),
    };
    const kept = [given];
    if (queue.push(kept) > 2_048) queue.shift();
    return { ...span, updateName: (name) => (kept.push(name), span), setStatus: quiet, end: quiet };
  };
  return telemetry({ tracerProvider: { getTracer: () => ({ startSpan }) } });
}

const quiet = () => {};
const logger = { debug: quiet, info: quiet, warn: quiet, error: console.error, fatal: quiet };
const time = createFakeTime();
const endpoint = createMcpEndpoint(factory, {
  ...options,
  ...(kind === 'idles' && { timeProvider: time }),
  use: spans ? [waitingSpans()] : [],
  logger,
  sessionUser: ({ extra }) => extra?.user,
  ...storeAt(target),
});
const authOf = ({ headers }) =>
  headers['x-user'] !== undefined
    ? { token: 'none', clientId: 'test', scopes: [], extra: { user: headers['x-user'] } }
    : undefined;
const fetchFace = getRequestListener((request, { incoming }) =>
  endpoint.fetch(request, { authInfo: authOf(incoming), incoming }),
);
const server = createServer((req, res) => {
  if (req.url.startsWith('/fetch')) return void fetchFace(req, res);
  req.auth = authOf(req);
  if (req.headers['x-parsed'] === undefined) endpoint.node(req, res);
  else text(req).then((body) => endpoint.node(req, res, JSON.parse(body)), quiet);
});
// As `endpoint.listen()` has it: the witness may pause for long.
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

// ——— for a parent that measures; needs `--expose-gc` ———

let core;
const { health } = Core.prototype;
Core.prototype.health = function () {
  core = this;
  return health.call(this);
};

/** The event log of the memory store has a budget besides `limits.memoryBytes`: `limits.eventLogBytes`. */
let eventLog;
const { count } = EventBudget.prototype;
EventBudget.prototype.count = function (...given) {
  eventLog = this;
  return count.apply(this, given);
};

/** Bytes after a collection, and the bytes of each row of `HELD` and of the event log. */
async function measured() {
  // Timers come first in a turn of the event loop: what the turn before has closed is gone, and no request of this one
  // has left anything. A later collection waits until an earlier one has freed its buffers.
  for (let n = 0; n < 4; n++) {
    globalThis.gc();
    await later(1);
  }
  // Two without a turn between them: the second waits for the buffers of requests that came in the last turn.
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return { heapBytes: heapUsed + external, rows: rows(), sessions: core.registry.count };
}

function rows() {
  endpoint.health();
  const all = Object.entries({ ...core.registry.held, eventLog: eventLog ?? { used: 0 } });
  return Object.fromEntries(all.map(([name, { used }]) => [name, used]));
}

/** Longer than `hibernateAfterMs`. */
const IDLE_MS = 120_000;

async function answer({ question, what }) {
  if (what === 'stall') stalls = true;
  if (what === 'idle') await time.advance(IDLE_MS);
  process.send({ question, ...(what === 'rows' ? { rows: rows() } : await measured()) });
}

process.on('message', (asked) => void answer(asked));
