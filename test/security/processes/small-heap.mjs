/**
 * One endpoint whose callers are named by the header `x-user`; prints its port. Run it with a small heap. With the
 * header `x-parsed` the application parses the body.
 * First argument: options as JSON. Second: the URL of a Redis store, a path for the SQLite store, or nothing for the
 * memory store.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint } from '../../../dist/index.js';
import { redis } from '../../../dist/stores/redis/index.js';
import { sqlite } from '../../../dist/stores/sqlite/index.js';

const [options = '{}', target] = process.argv.slice(2);

function storeAt(target) {
  if (target === undefined) return {};
  return { store: target.startsWith('redis:') ? redis(target) : sqlite(target) };
}

const later = (ms) => new Promise((over) => setTimeout(over, ms));

function factory(ctx) {
  const server = new McpServer(
    { name: 'small', version: '1' },
    { ...ctx.serverOptions, capabilities: { logging: {}, resources: { subscribe: true } } },
  );
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
    content: [{ type: 'text', text }],
  }));
  server.registerTool('big', { inputSchema: z.object({ bytes: z.number() }) }, ({ bytes }) => ({
    content: [{ type: 'text', text: 'x'.repeat(bytes) }],
  }));
  const long = z.object({ events: z.number(), bytes: z.number() });
  server.registerTool('long', { inputSchema: long }, async ({ events, bytes }, { mcpReq }) => {
    for (let n = 0; n < events; n++) {
      await mcpReq.notify({ method: 'notifications/message', params: { level: 'error', data: 'x'.repeat(bytes) } });
    }
    return { content: [{ type: 'text', text: 'the end' }] };
  });
  server.registerTool('keep', { inputSchema: z.object({ value: z.string() }) }, async ({ value }) => {
    await ctx.session.state.set('value', value);
    return { content: [{ type: 'text', text: 'kept' }] };
  });
  // Keeps its arguments, and ignores the end of its request.
  server.registerTool('wait', { inputSchema: z.looseObject({ ms: z.number() }) }, async (given) => {
    await later(given.ms);
    return { content: [{ type: 'text', text: Object.keys(given).join() }] };
  });
  // As servers do that ask for the roots when they changed: a client need not answer.
  server.server.setNotificationHandler('notifications/roots/list_changed', async (given) => {
    await later(8_000);
    return void Object.keys(given);
  });
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  return server;
}

const quiet = () => {};
const logger = { debug: quiet, info: quiet, warn: quiet, error: console.error, fatal: quiet };
const endpoint = createMcpEndpoint(factory, {
  ...JSON.parse(options),
  logger,
  sessionUser: ({ extra }) => extra?.user,
  ...storeAt(target),
});
const server = createServer((req, res) => {
  const user = req.headers['x-user'];
  if (user !== undefined) req.auth = { token: 'none', clientId: 'test', scopes: [], extra: { user } };
  if (req.headers['x-parsed'] === undefined) endpoint.node(req, res);
  else text(req).then((body) => endpoint.node(req, res, JSON.parse(body)), quiet);
});
// As `endpoint.listen()` has it: the witness may pause for long.
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
