/**
 * One endpoint whose parent measures what it holds: see `rows.ts`. First argument: its options as JSON. Second:
 * `stalls` for a store that stops answering appends when the parent says so; `idles` for a clock that the parent moves.
 * Run it with `--expose-gc`.
 */
import { createServer } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { Core } from '../../../dist/internals.js';
import { createMcpEndpoint, currentSession } from '../../../dist/index.js';
import { once, RUNS_ONCE } from '../../../dist/once/index.js';
import { memory } from '../../../dist/stores/memory/index.js';
import { task } from '../../../dist/tasks/index.js';
import { createFakeTime } from '../../../dist/testing/index.js';

const [options = '{}', kind] = process.argv.slice(2);

let stalls = false;
/** What a store holds that does not answer. */
const unanswered = [];

/** Marks, and the openings of streams, are stored. */
const isMessage = ({ events = [] }) => events.some((json) => json.includes('"method"'));

function stalling(inner) {
  const held = (...request) => {
    unanswered.push(request);
    return new Promise(() => {});
  };
  const records = (given, kind) =>
    new Proxy(given, {
      get(target, name) {
        const member = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        if (stalls && name === 'end' && kind === 'once') return held;
        if (!stalls || name !== 'append') return member.bind(target);
        return (request) => (isMessage(request) ? held(request) : target.append(request));
      },
    });
  return {
    kind: 'stalling',
    durable: false,
    inProcess: false,
    async open(opened) {
      const view = await inner.open(opened);
      return { ...view, records: (of) => records(view.records(of), of.name) };
    },
  };
}

const given = z.object({ count: z.number().default(1), text: z.string().default(''), ms: z.number().default(0) });
const DAY_MS = 86_400_000;
/** Longer than `hibernateAfterMs`. */
const IDLE_MS = 120_000;
const said = (text) => ({ content: [{ type: 'text', text }] });

function factory({ serverOptions }) {
  const capabilities = { logging: {}, resources: { subscribe: true } };
  const server = new McpServer({ name: 'rows', version: '1' }, { ...serverOptions, capabilities });
  server.registerTool('big', { inputSchema: given }, ({ count, text }) => said(text.repeat(count)));
  server.registerTool('ask', { inputSchema: given }, ({ count, text }) => {
    for (let n = 0; n < count; n++) {
      const requestedSchema = { type: 'object', properties: {} };
      void server.server.elicitInput({ message: `${n}${text}`, requestedSchema }).catch(() => {});
    }
    return said('asked');
  });
  server.registerTool('send', { inputSchema: given }, async ({ count, text, ms }, { mcpReq }) => {
    for (let n = 0; n < count; n++) {
      void mcpReq.notify({ method: 'notifications/message', params: { level: 'error', data: `${n}${text}` } });
      if (n % 100 === 0) await turn();
    }
    await new Promise((over) => setTimeout(over, ms));
    return said('sent');
  });
  server.registerTool('keep', { inputSchema: given }, async ({ count, text }) => {
    for (let n = 0; n < count; n++) await currentSession()?.state.set(`key ${n}`, `${n}${text}`);
    return said('kept');
  });
  const pay = once(({ count, text }) => said(text.repeat(count)), { key: ({ key }) => key });
  server.registerTool('pay', { inputSchema: given.extend({ key: z.string() }), _meta: RUNS_ONCE }, pay);
  // Keeps its arguments.
  server.registerTool('wait', { inputSchema: z.looseObject({}) }, async (all) => {
    await new Promise((over) => setTimeout(over, DAY_MS));
    return said(Object.keys(all).join());
  });
  const forever = () => new Promise((over) => setTimeout(over, DAY_MS));
  // A task that records values, or asks, and runs on.
  server.registerTool(
    'remember',
    { inputSchema: given.extend({ asks: z.boolean().default(false) }) },
    task(async ({ count, text, asks }, _, own) => {
      for (let n = 0; n < count; n++) {
        const question = { message: `${n}${text}`, requestedSchema: { type: 'object', properties: {} } };
        if (asks) void own.elicit(`q${n}`, question).catch(() => {});
        else await own.state.set(`key ${n}`, `${n}${text}`);
      }
      await forever();
      return said('');
    }),
  );
  server.registerTool(
    'continue',
    { inputSchema: z.looseObject({}) },
    task(async (all, { mcpReq }) => {
      if (mcpReq.inputResponses === undefined) {
        const asked = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } };
        return inputRequired({ inputRequests: { sure: inputRequired.elicit(asked) } });
      }
      await forever();
      return said(Object.keys(all).join());
    }),
  );
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  return server;
}

const time = createFakeTime();
const endpoint = createMcpEndpoint(factory, {
  logger: false,
  ...JSON.parse(options),
  ...(kind === 'stalls' && { store: stalling(memory()) }),
  ...(kind === 'idles' && { timeProvider: time }),
});
const server = createServer(endpoint.node);

let core;
const { health } = Core.prototype;
Core.prototype.health = function () {
  core = this;
  return health.call(this);
};

const ROUNDS = 4;

async function measured() {
  for (let n = 0; n < ROUNDS; n++) {
    globalThis.gc();
    await turn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return { bytes: heapUsed + external, rows: rows() };
}

function rows() {
  endpoint.health();
  return Object.fromEntries(Object.entries(core.registry.held).map(([name, { used }]) => [name, used]));
}

async function answer(question) {
  if (question === 'measure') return measured();
  if (question === 'rows') return { rows: rows() };
  if (question === 'stall') stalls = true;
  if (question === 'idle') await time.advance(IDLE_MS);
  return {};
}

process.on('message', (question) => void answer(question).then((told) => process.send(told)));
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
