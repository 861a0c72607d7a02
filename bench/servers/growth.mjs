import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { serve } from './serve.mjs';

// BENCH_TOOLS: how many tools each server has. BENCH_MAKING: `one` server for all sessions (`shared`: whose
// list is the same for every caller), or a factory, which creates schemas and handlers itself (`inside`).
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');
const count = Number(process.env.BENCH_TOOLS ?? '1');

const makeTools = () =>
  Array.from({ length: count }, (_, n) => ({
    name: n === 0 ? 'echo' : `echo-${String(n)}`,
    definition: {
      description: 'Answers with its input',
      inputSchema: z.object({ text: z.string() }),
      annotations: { readOnlyHint: true },
    },
    handler: ({ text }) => ({ content: [{ type: 'text', text }] }),
  }));

const once = makeTools();

const makeServer = (ctx) => {
  const server = new McpServer({ name: 'bench', version: '1.0.0' }, { ...ctx.serverOptions });
  const tools = process.env.BENCH_MAKING === 'inside' ? makeTools() : once;
  for (const { name, definition, handler } of tools) server.registerTool(name, definition, handler);
  return server;
};

const making = process.env.BENCH_MAKING;
const given = making === 'one' || making === 'shared' ? makeServer({}) : makeServer;
const options = { maxIdleSessionCount: 10_000_000, ...(making === 'shared' && { sharedLists: ['tools'] }) };

serve(createMcpEndpoint(given, options).node);
