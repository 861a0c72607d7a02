/** For `sojourn serve`: tools, a prompt and a resource whose arguments, results and URIs no exporter may have. */
import { setTimeout as pause } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (said) => ({ content: [{ type: 'text', text: said }] });

export default function createServer() {
  const server = new McpServer({ name: 'traced', version: '1.0.0' });
  const inputSchema = z.object({ value: z.string() });
  server.registerTool('echo', { inputSchema }, ({ value }) => text(`result of ${value}`));
  server.registerTool('fails', { inputSchema }, ({ value }) => {
    throw new Error(`failed with ${value}`);
  });
  server.registerTool('slow', { inputSchema, annotations: { readOnlyHint: true } }, async ({ value }) => {
    process.stdout.write('begins slow\n');
    await pause(1_000);
    return text(value);
  });
  server.registerResource('note', 'note://secret', {}, () => ({
    contents: [{ uri: 'note://secret', text: 'secret' }],
  }));
  return server;
}
