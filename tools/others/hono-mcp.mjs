import { randomUUID } from 'node:crypto';
import { StreamableHTTPTransport } from '@hono/mcp';
import { serve } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { Hono } from 'hono';
import { z } from 'zod';
import { freePort, listens } from './listening.mjs';

// As its readme, with a transport per session.
const transports = new Map();
const inputSchema = { text: z.string() };
const app = new Hono();
app.all('/mcp', async (c) => {
  let transport = transports.get(c.req.header('mcp-session-id'));
  if (transport === undefined) {
    transport = new StreamableHTTPTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    const server = new McpServer({ name: 'bench', version: '1.0.0' });
    server.registerTool('echo', { description: 'Answers with its input', inputSchema }, ({ text }) => ({
      content: [{ type: 'text', text }],
    }));
    await server.connect(transport);
  }
  return transport.handleRequest(c);
});
const port = await freePort();
serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, () => listens(port));
