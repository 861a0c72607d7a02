/**
 * One endpoint whose callers are named by the header `x-user`; prints its port. Run it with a small heap.
 * First argument: options as JSON. Second: a path for the SQLite store, or nothing for the memory store.
 */
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint } from '../../../dist/index.js';
import { sqlite } from '../../../dist/stores/sqlite/index.js';

const [options = '{}', path] = process.argv.slice(2);

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
  server.registerTool('wait', { inputSchema: z.object({ ms: z.number() }) }, async ({ ms }) => {
    await new Promise((over) => setTimeout(over, ms));
    return { content: [] };
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
  ...(path !== undefined && { store: sqlite(path) }),
});
const server = createServer((req, res) => {
  const user = req.headers['x-user'];
  if (user !== undefined) req.auth = { token: 'none', clientId: 'test', scopes: [], extra: { user } };
  endpoint.node(req, res);
});
// As `endpoint.listen()` has it: the witness may pause for long.
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
