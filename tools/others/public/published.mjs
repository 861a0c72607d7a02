import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { freePort, listens } from '../listening.mjs';
import { connectRedis, fetched } from './backends.mjs';
import { publicTools } from './tools.mjs';

// The Node server of the public benchmark, set up as published: Express, and for each request a new server with all
// its schemas, without sessions.
const redis = connectRedis();
const service = fetched(process.env.PUBLIC_API);

function createServer() {
  const server = new McpServer({ name: 'bench', version: '1.0.0' });
  for (const { name, description, inputSchema, handler } of publicTools({ redis, ...service }))
    server.registerTool(name, { description, inputSchema }, handler);
  return server;
}

const app = express();
app.use(express.json());
app.post('/mcp', async (req, res) => {
  const server = createServer();
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  res.on('close', () => {
    void transport.close();
    void server.close();
  });
  await server.connect(transport);
  await transport.handleRequest(req, res, req.body);
});
app.delete('/mcp', (_req, res) => res.status(405).end());
const port = await freePort();
app.listen(port, '127.0.0.1', () => listens(port));
