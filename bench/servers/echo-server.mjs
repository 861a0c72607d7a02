import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

// Schema and handler live outside the factory: every side pays the same price for a session.
const inputSchema = z.object({ text: z.string() });
const annotations = { readOnlyHint: true };
const echo = ({ text }) => ({ content: [{ type: 'text', text }] });

/** The one server that every side serves: a single echo tool. `ctx.serverOptions` is what ours adds to the SDK's context. */
export function buildEchoServer(ctx) {
  const server = new McpServer({ name: 'bench', version: '1.0.0' }, { ...ctx?.serverOptions });
  server.registerTool('echo', { description: 'Answers with its input', inputSchema, annotations }, echo);
  return server;
}
