/**
 * An instance whose server Sentry or PostHog wraps: `node wrapped.mjs sentry|posthog 1|2 factory|definition FILE`. Says
 * `url …`, and a line `event {…}` for each span, error or event that the wrapper sends.
 */
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';

const [wrapper, version, form, file] = process.argv.slice(2);
const require = createRequire(
  resolve(import.meta.dirname, '../../../installs/wrappers/package.json'),
);
const dist = resolve(import.meta.dirname, '../../../../dist');
const load = (name) => import(pathToFileURL(`${dist}/${name}`).href);
const { createMcpEndpoint } = await load('index.js');
const { sqlite } = await load('stores/sqlite/index.js');
const { McpServer } = await import(
  version === '1' ? '@modelcontextprotocol/sdk/server/mcp.js' : '@modelcontextprotocol/server'
);
const say = (line) => process.stdout.write(`${line}\n`);
const event = (fields) => say(`event ${JSON.stringify(fields)}`);

function sentry() {
  const { init, wrapMcpServerWithSentry } = require('@sentry/node');
  const spans = ({ contexts, transaction, spans: inner = [] }) => {
    for (const { op, description = transaction, data } of [contexts.trace, ...inner])
      if (op?.startsWith('mcp.')) event({ kind: 'span', name: description, data });
    return null;
  };
  init({
    dsn: 'http://key@127.0.0.1:9/1',
    tracesSampleRate: 1,
    traceLifecycle: 'static',
    beforeSendTransaction: spans,
    beforeSend: ({ exception }) => {
      event({ kind: 'error', name: exception.values[0].value });
      return null;
    },
  });
  return wrapMcpServerWithSentry;
}

function posthog() {
  const { PostHog } = require('posthog-node');
  const { instrument } = require('@posthog/mcp');
  const beforeSend = ({ event: name, properties }) => {
    event({ kind: 'event', name, data: properties });
    return null;
  };
  const client = new PostHog('key', { host: 'http://127.0.0.1:9', flushAt: 1 });
  return (server) => {
    instrument(server, client, { beforeSend });
    return server;
  };
}

const wrap = wrapper === 'sentry' ? sentry() : posthog();

function create() {
  const server = wrap(new McpServer({ name: 'wrapped', version: '1.0.0' }));
  const schema = { value: z.string() };
  const inputSchema = version === '1' ? schema : z.object(schema);
  server.registerTool('echo', { inputSchema }, ({ value }) => ({
    content: [{ type: 'text', text: value }],
  }));
  server.registerTool('fails', { inputSchema }, () => {
    throw new Error('it failed');
  });
  return server;
}

const endpoint = createMcpEndpoint(form === 'factory' ? create : create(), {
  store: sqlite(file),
  logger: console,
});
const http = createServer(endpoint.node);
http.listen(0, '127.0.0.1', () => say(`url http://127.0.0.1:${http.address().port}/mcp`));
