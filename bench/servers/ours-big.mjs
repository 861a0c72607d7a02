import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { serve } from './serve.mjs';

// One server with small and big tools.
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');

const said = (text) => ({ content: [{ type: 'text', text }] });
const text = z.object({ text: z.string() });
const count = z.object({ count: z.number() });
const large = 'x'.repeat(4 * 1024 * 1024);

/** Sends all notifications at once and waits only until each is taken. */
async function progress({ count: wanted }, { mcpReq }) {
  const { progressToken } = mcpReq._meta;
  for (let n = 1; n <= wanted; n++)
    await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: n, total: wanted } });
  return said('done');
}

/** Begins after the head was sent. */
async function laterProgress(args, ctx) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return progress(args, ctx);
}

async function wait() {
  await new Promise((resolve) => setTimeout(resolve, 100));
  return said('waited');
}

function factory(ctx) {
  const server = new McpServer({ name: 'bench', version: '1.0.0' }, { ...ctx?.serverOptions });
  server.registerTool('echo', { inputSchema: text }, (args) => said(args.text));
  server.registerTool('take', { inputSchema: text }, (args) => said(String(args.text.length)));
  server.registerTool('give', {}, () => said(large));
  server.registerTool('progress', { inputSchema: count }, progress);
  server.registerTool('later-progress', { inputSchema: count }, laterProgress);
  server.registerTool('wait', {}, wait);
  return server;
}

serve(createMcpEndpoint(factory).node);
