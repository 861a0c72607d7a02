/**
 * A route handler of Next.js: `app/mcp/route.ts`. For `next start` or another server that keeps running: with the
 * memory store a session lives in one process.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';
import { z } from 'zod';

const greet = { description: 'Greets a person', inputSchema: z.object({ name: z.string() }) };
const sayHello = ({ name }: { name: string }) => ({ content: [{ type: 'text' as const, text: `Hello ${name}!` }] });

const makeEndpoint = () =>
  createMcpEndpoint((ctx) => {
    const server = new McpServer({ name: 'nextjs-example', version: '1.0.0' }, { ...ctx.serverOptions });
    server.registerTool('greet', greet, sayHello);
    return server;
  });

// `next dev` runs this file again after every change. Keep the old endpoint, so that sessions survive that.
const kept = globalThis as { mcpEndpoint?: ReturnType<typeof makeEndpoint> };
const endpoint = (kept.mcpEndpoint ??= makeEndpoint());

const handle = (request: Request): Promise<Response> => endpoint.fetch(request);

export { handle as DELETE, handle as GET, handle as OPTIONS, handle as POST };
export const dynamic = 'force-dynamic';
