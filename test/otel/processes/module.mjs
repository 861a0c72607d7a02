/** For `sojourn serve`: a module that knows nothing of telemetry. */
import { McpServer } from '@modelcontextprotocol/server';

export default function createServer() {
  const server = new McpServer({ name: 'served', version: '1.0.0' });
  server.registerTool('hello', {}, () => ({ content: [{ type: 'text', text: 'hello' }] }));
  return server;
}
