/**
 * An MCP endpoint in an Express app.
 *
 *     npm init -y && npm pkg set type=module
 *     npm install sojourn @modelcontextprotocol/server zod express tsx
 *     npx tsx server.ts
 */
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/server';
import express from 'express';
import { createMcpEndpoint } from 'sojourn';
import { z } from 'zod';

const greet = { description: 'Greets a person', inputSchema: z.object({ name: z.string() }) };
const sayHello = ({ name }: { name: string }) => ({
  content: [{ type: 'text' as const, text: `Hello ${name}!` }],
});

const mcp = new McpServer({ name: 'express-example', version: '1.0.0' });
mcp.registerTool('greet', greet, sayHello);

const endpoint = createMcpEndpoint(mcp);

const app = express();

// Your own middleware goes in front, as always. Afterwards the response's headers have the session's id.
app.use((req, res, next) => {
  res.setHeader('X-Served-By', 'express');
  res.on('close', () =>
    console.log(req.method, req.path, res.statusCode, res.getHeader('mcp-session-id')),
  );
  next();
});

app.all('/mcp', endpoint.node);

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', (error) => {
  if (error) throw error; // Express 5 passes the error of a taken port
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);
});

const stop = endpoint.createShutdown(server);
process.once('SIGTERM', () => void stop());
