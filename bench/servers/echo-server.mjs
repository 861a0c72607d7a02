import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

// Schema and handler are outside the factory, so that every side has the same cost per session.
const inputSchema = z.object({ text: z.string() });
const annotations = { readOnlyHint: true };
const echo = ({ text }) => ({ content: [{ type: 'text', text }] });

/**
 * The server that every side serves: a single echo tool. `ctx.serverOptions` is sojourn's addition to the SDK's
 * context.
 */
export function buildEchoServer(ctx) {
  const server = new McpServer({ name: 'bench', version: '1.0.0' }, { ...ctx?.serverOptions });
  server.registerTool('echo', { description: 'Answers with its input', inputSchema, annotations }, echo);
  return server;
}
