import { McpServer } from '@modelcontextprotocol/server';
import { startHTTPServer } from 'mcp-proxy';
import { z } from 'zod';
import { freePort, listens } from './listening.mjs';

const inputSchema = z.object({ text: z.string() });
const port = await freePort();
await startHTTPServer({
  createServer: async () => {
    const server = new McpServer({ name: 'bench', version: '1.0.0' });
    server.registerTool('echo', { description: 'Answers with its input', inputSchema }, ({ text }) => ({
      content: [{ type: 'text', text }],
    }));
    return server.server;
  },
  port,
});
listens(port);
