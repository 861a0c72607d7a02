import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import express from 'express';
import { z } from 'zod';
import { freePort, listens } from './listening.mjs';

// As its readme: Express, a transport per session in an object.
const transports = {};
const inputSchema = { text: z.string() };
const app = express();
app.use(express.json());
app.post('/mcp', async (req, res) => {
  const id = req.headers['mcp-session-id'];
  let transport = transports[id];
  if (transport === undefined && isInitializeRequest(req.body)) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (opened) => void (transports[opened] = transport),
    });
    const server = new McpServer({ name: 'bench', version: '1.0.0' });
    server.registerTool('echo', { description: 'Answers with its input', inputSchema }, ({ text }) => ({
      content: [{ type: 'text', text }],
    }));
    await server.connect(transport);
  }
  await transport.handleRequest(req, res, req.body);
});
const port = await freePort();
app.listen(port, '127.0.0.1', () => listens(port));
