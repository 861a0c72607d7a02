/** TypeScript that has only to be stripped. */
import { McpServer, type CallToolResult } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (value: string): CallToolResult => ({ content: [{ type: 'text', text: value }] });

export default function createServer(): McpServer {
  const server = new McpServer({ name: 'typed', version: '1.0.0' });
  server.registerTool('echo', { inputSchema: z.object({ message: z.string() }) }, ({ message }) => text(message));
  return server;
}
