/**
 * An MCP endpoint in a Fastify app.
 *
 *     npm init -y && npm pkg set type=module
 *     npm install sojourn @modelcontextprotocol/server zod fastify tsx
 *     npx tsx server.ts
 */
import { McpServer } from '@modelcontextprotocol/server';
import Fastify from 'fastify';
import { createMcpEndpoint } from 'sojourn';
import { z } from 'zod';

const greet = { description: 'Greets a person', inputSchema: z.object({ name: z.string() }) };
const sayHello = ({ name }: { name: string }) => ({
  content: [{ type: 'text' as const, text: `Hello ${name}!` }],
});

const mcp = new McpServer({ name: 'fastify-example', version: '1.0.0' });
mcp.registerTool('greet', greet, sayHello);

const endpoint = createMcpEndpoint(mcp);

// The endpoint's limit (limits.bodyBytes): Fastify parses the body first, and its own limit is 1 MiB.
const app = Fastify({ bodyLimit: 4_194_304 });

// hijack: the endpoint writes the response and streams by itself.
app.all('/mcp', (request, reply) => endpoint.node(request.raw, reply.hijack().raw, request.body));

const address = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' });
console.log(`${address}/mcp`);

const stop = endpoint.createShutdown(app.server);
process.once('SIGTERM', () => void stop().then(() => app.close()));
