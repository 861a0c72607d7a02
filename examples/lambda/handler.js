// An MCP server on AWS Lambda: what its tools remember is in Redis, so each call may have a process of its own.
import { McpServer } from '@modelcontextprotocol/server';
import { Hono } from 'hono';
import { handle } from 'hono/aws-lambda';
import { createMcpEndpoint, userState } from 'sojourn';
import { redis } from 'sojourn-redis';

const server = new McpServer({ name: 'counter', version: '1.0.0' });
server.registerTool('count', { description: 'Counts the calls of its user' }, async () => {
  const n = await userState({ anonymous: 'shared' }).update('calls', (before = 0) => before + 1);
  return { content: [{ type: 'text', text: `call ${n}` }] };
});

const endpoint = createMcpEndpoint(server, {
  store: redis(process.env.REDIS_URL),
  sessionMode: 'stateless',
});
const app = new Hono();
app.all('/mcp', ({ req }) => endpoint.fetch(req.raw));
export const handler = handle(app);
