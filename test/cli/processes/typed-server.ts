/** TypeScript that has only to be stripped, and that must meet the same copy of sojourn as the command. */
import { McpServer, type CallToolResult } from '@modelcontextprotocol/server';
import { currentSession } from 'sojourn';

const text = (value: string): CallToolResult => ({ content: [{ type: 'text', text: value }] });

export default function createServer(): McpServer {
  const server = new McpServer({ name: 'typed', version: '1.0.0' });
  server.registerTool('session', {}, () => text(currentSession()?.id ?? 'none'));
  return server;
}
