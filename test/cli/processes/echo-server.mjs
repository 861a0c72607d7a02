/** Two tools: at once, and slow. */
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });

export default function createServer() {
  const server = new McpServer({ name: 'echo', version: '1.0.0' });
  server.registerTool('echo', { inputSchema: z.object({ message: z.string() }) }, ({ message }) =>
    text(message),
  );
  server.registerTool('slow', { inputSchema: z.object({ ms: z.number() }) }, async ({ ms }) => {
    console.error('slow began');
    await new Promise((done) => setTimeout(done, ms));
    return text('done');
  });
  return server;
}
