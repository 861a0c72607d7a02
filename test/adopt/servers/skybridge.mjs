import { McpServer } from 'skybridge/server';
import { z } from 'zod';

const server = new McpServer({ name: 'sky', version: '1.0.0' }, {});
server.registerTool({ name: 'add', inputSchema: { a: z.number(), b: z.number() } }, ({ a, b }) => ({
  content: [{ type: 'text', text: String(a + b) }],
}));
server.mcpMiddleware('tools/call', async (request, extra, next) => {
  const result = await next();
  return {
    ...result,
    content: [...result.content, { type: 'text', text: 'seen by the middleware' }],
  };
});

// In place of server.run():
export default server;
