/**
 * An instance with telemetry: `node instance.mjs FILE [bare]`. Without `bare` each HTTP request has a span, as an
 * instrumentation makes it. Says `url …`, what `sdk.mjs` says, and `begins …` when `slow` begins.
 */
import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { context, propagation, trace } from './sdk.mjs';

const dist = resolve(import.meta.dirname, '../../../../dist');
const load = (file) => import(pathToFileURL(`${dist}/${file}`).href);
const { createMcpEndpoint, task } = await load('index.js');
const { telemetry, watchEndpoint } = await load('endpoint/otel/index.js');
const { sqlite } = await load('stores/sqlite/index.js');
const [file, mode] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);
const text = (said) => ({ content: [{ type: 'text', text: said }] });
const tracer = trace.getTracer('application');

const server = new McpServer({ name: 'traced', version: '1.0.0' });
const inputSchema = z.object({ value: z.string().optional() });
server.registerTool('echo', { inputSchema }, async ({ value }) =>
  tracer.startActiveSpan('in the handler', async (span) => {
    span.end();
    return text(`result of ${value}`);
  }),
);
server.registerTool('fails', { inputSchema }, ({ value }) => {
  throw new Error(`failed with ${value}`);
});
server.registerTool('slow', { annotations: { readOnlyHint: true } }, async () => {
  say('begins slow');
  await pause(1_000);
  return text('slow');
});
server.registerTool(
  'film',
  { inputSchema },
  task(
    async (_, __, own) => {
      if (own.attempt === 1) {
        say('begins film');
        await pause(60_000);
      }
      return text('a film');
    },
    { afterCrash: 'run' },
  ),
);
server.registerTool(
  'asks',
  { inputSchema },
  task((_, { mcpReq }) => {
    if (mcpReq.inputResponses !== undefined) return text('answered');
    const requestedSchema = { type: 'object', properties: {} };
    return inputRequired({
      inputRequests: { sure: inputRequired.elicit({ message: 'Sure?', requestedSchema }) },
    });
  }),
);
server.registerTool(
  'detaches',
  { inputSchema },
  task((_, __, own) => own.detach(() => {})),
);
server.registerPrompt('greet', { argsSchema: z.object({ who: z.string() }) }, ({ who }) => ({
  messages: [{ role: 'user', content: { type: 'text', text: who } }],
}));
server.registerResource('note', 'note://secret', {}, () => ({
  contents: [{ uri: 'note://secret', text: 'secret' }],
}));

const endpoint = createMcpEndpoint(server, {
  use: [telemetry()],
  store: sqlite(file),
  logger: false,
  metrics: true,
  tasks: true,
  leaseMs: 2_000,
});
watchEndpoint(endpoint);

const http = createServer((req, res) => {
  if (mode === 'bare') return endpoint.node(req, res);
  const parent = propagation.extract(context.active(), req.headers);
  const span = tracer.startSpan('HTTP', {}, parent);
  res.once('close', () => span.end());
  return context.with(trace.setSpan(parent, span), () => endpoint.node(req, res));
});
http.listen(0, '127.0.0.1', () => say(`url http://127.0.0.1:${http.address().port}/mcp`));
