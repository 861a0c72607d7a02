// Counts the calls of each session, whichever replica they reach.
import { McpServer } from '@modelcontextprotocol/server';

export default function createServer(ctx) {
  const server = new McpServer({ name: 'counter', version: '1.0.0' }, { ...ctx.serverOptions });
  server.registerTool('count', { description: 'Counts the calls of this session' }, async () => {
    const n = await ctx.session?.state.update('n', (before) => (before ?? 0) + 1);
    return { content: [{ type: 'text', text: String(n ?? 'no session, no count') }] };
  });
  return server;
}
