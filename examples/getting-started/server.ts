/** A first server: one tool, which counts its calls per session. Run it with `npx tsx server.ts`. */
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint, currentSession } from 'sojourn';

const server = new McpServer({ name: 'counter', version: '1.0.0' });
server.registerTool('count', { description: 'Counts the calls of this session' }, async () => {
  const n = await currentSession()?.state.update<number>('n', (before = 0) => before + 1);
  return { content: [{ type: 'text', text: n === undefined ? 'no session' : `call ${n}` }] };
});

const endpoint = createMcpEndpoint(server);

const { url } = await endpoint.listen({ port: Number(process.env['PORT'] ?? 3000) });
console.log(url);

process.once('SIGTERM', () => void endpoint.drain().then(() => endpoint.close()));
