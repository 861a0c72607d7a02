/** A counter in `session.state`. */
import { McpServer } from '@modelcontextprotocol/server';

export default function createServer(ctx) {
  const server = new McpServer({ name: 'counting', version: '1.0.0' });
  server.registerTool('count', {}, async () => {
    const calls = await ctx.session.state.update('n', (n) => (n ?? 0) + 1);
    return { content: [{ type: 'text', text: `${calls} restored ${ctx.restored}` }] };
  });
  return server;
}
