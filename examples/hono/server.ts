/**
 * An MCP endpoint in a Hono app, here on Node. On Bun, Deno and others only `serve` differs.
 *
 *     npm init -y && npm pkg set type=module
 *     npm install sojourn @modelcontextprotocol/server zod hono @hono/node-server tsx
 *     npx tsx server.ts
 */
import { type HttpBindings, serve } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/server';
import { Hono } from 'hono';
import { createMcpEndpoint } from 'sojourn';
import { z } from 'zod';

const greet = { description: 'Greets a person', inputSchema: z.object({ name: z.string() }) };
const sayHello = ({ name }: { name: string }) => ({
  content: [{ type: 'text' as const, text: `Hello ${name}!` }],
});

const mcp = new McpServer({ name: 'hono-example', version: '1.0.0' });
mcp.registerTool('greet', greet, sayHello);

const endpoint = createMcpEndpoint(mcp);

const app = new Hono<{ Bindings: HttpBindings }>();

app.all('/mcp', (c) => endpoint.fetch(c.req.raw, { incoming: c.env.incoming }));

const port = Number(process.env['PORT'] ?? 3000);
const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, (info) => {
  console.log(`http://127.0.0.1:${info.port}/mcp`);
});

const stop = endpoint.createShutdown(server);
process.once('SIGTERM', () => void stop());
