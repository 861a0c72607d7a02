/**
 * An MCP endpoint beside other routes on a bare `node:http` server. Without other routes `endpoint.listen()` is
 * shorter: it adds health checks, CORS and the limits of the sockets.
 *
 *     npm install sojourn @modelcontextprotocol/server zod
 *     npx tsx server.ts
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';
import { z } from 'zod';

const greet = { description: 'Greets a person', inputSchema: z.object({ name: z.string() }) };
const sayHello = ({ name }: { name: string }) => ({ content: [{ type: 'text' as const, text: `Hello ${name}!` }] });

const mcp = new McpServer({ name: 'node-http-example', version: '1.0.0' });
mcp.registerTool('greet', greet, sayHello);

const endpoint = createMcpEndpoint(mcp);

const server = createServer((req, res) => {
  if (req.url === '/mcp') endpoint.node(req, res);
  else res.writeHead(404).end('Nothing here. Try /mcp.\n');
});

server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);
});

const stop = endpoint.closeWith(server);
process.once('SIGTERM', () => void stop());
