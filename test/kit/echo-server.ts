/** The smallest server that a client can call: one tool, `echo`. */
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

export const createEchoServer = (): McpServer => {
  const server = new McpServer({ name: 'echo', version: '1.0.0' });
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
    content: [{ type: 'text', text }],
  }));
  return server;
};
