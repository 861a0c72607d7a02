/**
 * What workers and recipes are tested with: a counter in `session.state`, and tools that tell which process runs them and
 * how they got there.
 */
import { AsyncResource } from 'node:async_hooks';
import { appendFileSync, existsSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { currentRequest } from '../../../dist/index.js';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });

// New code of the module.
if (process.env.BROKEN !== undefined && existsSync(process.env.BROKEN))
  throw new Error('broken code');

/** Runs what belongs to no request, and so to the session's GET stream. */
const outside = AsyncResource.bind((work) => work());

export default function createServer(ctx) {
  const server = new McpServer(
    { name: 'worker', version: '1.0.0' },
    { capabilities: { logging: {} } },
  );
  server.registerTool('count', {}, async () =>
    text(await ctx.session.state.update('n', (n) => (n ?? 0) + 1)),
  );
  server.registerTool('where', { annotations: { readOnlyHint: true } }, () => text(process.pid));
  // A relayed request has no socket here.
  server.registerTool('way', {}, () =>
    text(`${process.pid} ${currentRequest().node === undefined ? 'relayed' : 'direct'}`),
  );
  server.registerTool(
    'length',
    { inputSchema: z.object({ text: z.string() }) },
    ({ text: given }) => text(given.length),
  );
  server.registerTool('argv', {}, () => text(JSON.stringify(process.argv)));
  server.registerTool('slow', { inputSchema: z.object({ ms: z.number() }) }, async ({ ms }) => {
    console.error('slow began');
    await new Promise((done) => setTimeout(done, ms));
    return text(`done ${process.pid}`);
  });
  server.registerTool(
    'look',
    { inputSchema: z.object({ ms: z.number() }), annotations: { readOnlyHint: true } },
    async ({ ms }) => {
      await new Promise((done) => setTimeout(done, ms));
      return text(`looked ${process.pid}`);
    },
  );
  // Each run is a line of a file.
  for (const [name, annotations] of Object.entries({
    effect: {},
    repeatable: { readOnlyHint: true },
  }))
    server.registerTool(
      name,
      { inputSchema: z.object({ nonce: z.string(), ms: z.number() }), annotations },
      async ({ nonce, ms }) => {
        appendFileSync(process.env.RUNS, `${name} ${nonce}\n`);
        await new Promise((done) => setTimeout(done, ms));
        return text(nonce);
      },
    );
  // It takes 300 of each 400 ms of its worker.
  server.registerTool('toil', {}, async () => {
    const end = performance.now() + 8_000;
    while (performance.now() < end) {
      const free = performance.now() + 300;
      while (performance.now() < free);
      await new Promise((done) => setTimeout(done, 100));
    }
    return text('toiled');
  });
  server.registerTool('hoard', {}, () => {
    for (const kept = []; ;) kept.push(Array.from({ length: 100_000 }, (_, n) => ({ n })));
  });
  server.registerTool('crash', {}, () => process.exit(7));
  server.registerTool('doom', { annotations: { readOnlyHint: true } }, async () => {
    await new Promise((done) => setTimeout(done, 100));
    process.exit(8);
  });
  server.registerTool('ring', {}, () => {
    void outside(() => server.server.sendLoggingMessage({ level: 'info', data: 'ringing' }));
    return text(process.pid);
  });
  server.registerTool('ask', {}, async (call) => {
    const requestedSchema = { type: 'object', properties: { name: { type: 'string' } } };
    const { content } = await call.mcpReq.elicitInput({ message: 'Who?', requestedSchema });
    return text(`${content.name} ${process.pid}`);
  });
  // Says one thing, and ends once its session has been told to go on.
  server.registerTool('wait', {}, async (call) => {
    const { progressToken } = call.mcpReq._meta ?? {};
    await call.mcpReq.notify({
      method: 'notifications/progress',
      params: { progressToken, progress: 1 },
    });
    while ((await ctx.session.state.get('go')) !== true)
      await new Promise((done) => setTimeout(done, 5));
    return text('gone on');
  });
  server.registerTool('go', {}, async () => {
    await ctx.session.state.set('go', true);
    return text('go');
  });
  return server;
}
