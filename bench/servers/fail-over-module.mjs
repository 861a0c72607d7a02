import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

const inputSchema = z.object({ ms: z.number() });
const annotations = { readOnlyHint: true };
const done = { content: [{ type: 'text', text: 'done' }] };

/** The module for `sojourn serve`: a tool that takes its time and may run again. */
export default function createServer() {
  const server = new McpServer({ name: 'bench', version: '1.0.0' });
  server.registerTool(
    'work',
    { description: 'Takes ms', inputSchema, annotations },
    ({ ms }) => new Promise((resolve) => setTimeout(resolve, ms, done)),
  );
  return server;
}
