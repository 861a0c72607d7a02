/** A first server: one tool, which counts its calls per session. Run it with `npx tsx server.ts`. */
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';

const endpoint = createMcpEndpoint((ctx) => {
  const server = new McpServer({ name: 'counter', version: '1.0.0' }, { ...ctx.serverOptions });
  server.registerTool('count', { description: 'Counts the calls of this session' }, async () => {
    const n = await ctx.session?.state.update<number>('n', (before = 0) => before + 1);
    return { content: [{ type: 'text', text: n === undefined ? 'no session' : `call ${n}` }] };
  });
  return server;
});

const { url } = await endpoint.listen({ port: Number(process.env['PORT'] ?? 3000) });
console.log(url);

process.once('SIGTERM', () => void endpoint.drain().then(() => endpoint.close()));
