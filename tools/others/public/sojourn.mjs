import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { serve } from '../../../bench/servers/serve.mjs';
import { connectRedis, fetched, pooled } from './backends.mjs';
import { publicTools } from './tools.mjs';

// The same tools on sojourn, from one definition. PUBLIC_IO: `fetch` or `pool`; BENCH_DIST: another build.
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../../dist/index.js');
const redis = connectRedis();
const service = process.env.PUBLIC_IO === 'pool' ? pooled(process.env.PUBLIC_API) : fetched(process.env.PUBLIC_API);

const server = new McpServer({ name: 'bench', version: '1.0.0' });
for (const { name, description, inputSchema, handler } of publicTools({ redis, ...service }))
  server.registerTool(name, { description, inputSchema: z.object(inputSchema) }, handler);

const endpoint = createMcpEndpoint(server, JSON.parse(process.env.BENCH_OPTIONS ?? '{}'));
serve(endpoint.node, { live: () => endpoint.sessions.count });
