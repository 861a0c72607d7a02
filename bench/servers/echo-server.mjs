import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

// Schema and handler live outside the factory: every side pays the same price for a session.
const inputSchema = z.object({ text: z.string() });
const annotations = { readOnlyHint: true };
const echo = ({ text }) => ({ content: [{ type: 'text', text }] });

/** The one server that every side serves: a single echo tool. */
export function buildEchoServer() {
  const server = new McpServer({ name: 'bench', version: '1.0.0' });
  server.registerTool('echo', { description: 'Answers with its input', inputSchema, annotations }, echo);
  return server;
}
