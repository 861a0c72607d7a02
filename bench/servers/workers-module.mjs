import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

// The module for `sojourn serve`. Schema and handlers are outside the factory, as in the other servers.
const inputSchema = z.object({ text: z.string() });
const answer = ({ text }) => ({ content: [{ type: 'text', text }] });
const burnMs = 0.2;

function burn(input) {
  const until = performance.now() + burnMs;
  while (performance.now() < until);
  return answer(input);
}

/** The first call of its session waits for ever; the instance that restores the session answers. */
const waits =
  ({ restored }) =>
  (input) =>
    restored ? answer(input) : new Promise(() => {});

export default function createServer(ctx) {
  const server = new McpServer({ name: 'bench', version: '1.0.0' });
  server.registerTool('echo', { description: 'Answers with its input', inputSchema }, answer);
  const annotations = { readOnlyHint: true };
  server.registerTool('look', { description: 'The same, repeatable', inputSchema, annotations }, answer);
  server.registerTool('burn', { description: 'The same, after 200 µs of work', inputSchema, annotations }, burn);
  server.registerTool('await', { description: 'Waits for the next owner', inputSchema }, waits(ctx));
  server.registerTool('await-look', { description: 'The same, repeatable', inputSchema, annotations }, waits(ctx));
  return server;
}
