/**
 * An endpoint on a SQLite file: `node stalled-server.mjs FILE`. Prints its URL, its warnings, and `closed` after a
 * SIGTERM. The tool `count` returns how often it ran, and as many bytes as it is asked for.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const load = (file) =>
  import(pathToFileURL(resolve(import.meta.dirname, '../../../dist', file)).href);
const { createMcpEndpoint } = await load('index.js');
const { sqlite } = await load('stores/sqlite/index.js');

let counted = 0;
const print = (level) => (fields, message) =>
  console.log(level, message, fields.err?.message ?? '');
const endpoint = createMcpEndpoint(
  () => {
    const server = new McpServer({ name: 'stalled', version: '1.0.0' });
    server.registerTool('count', { inputSchema: z.object({ bytes: z.number() }) }, ({ bytes }) => ({
      content: [{ type: 'text', text: `${(counted += 1)} ${'x'.repeat(bytes)}` }],
    }));
    return server;
  },
  {
    store: sqlite(process.argv[2]),
    leaseMs: 1_500,
    logger: {
      debug() {},
      info: print('info'),
      warn: print('warn'),
      error: print('error'),
      fatal: print('fatal'),
    },
  },
);
const { url } = await endpoint.listen({ port: 0 });
console.log(url);
process.once(
  'SIGTERM',
  () => void endpoint.close({ timeoutMs: 0 }).then(() => console.log('closed')),
);
