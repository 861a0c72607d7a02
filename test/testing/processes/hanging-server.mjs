/** A server whose tool `hang` never answers. Run as a program, it serves by itself and prints its URL and each call. */
import { fileURLToPath } from 'node:url';
import { McpServer } from '@modelcontextprotocol/server';

export function hangingServer(called) {
  const server = new McpServer({ name: 'hanging', version: '1.0.0' });
  server.registerTool('hang', {}, () => {
    called();
    return new Promise(() => {});
  });
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { createMcpEndpoint } = await import('../../../dist/index.js');
  const server = hangingServer(() => console.log('called'));
  const options = JSON.parse(process.argv[2]);
  console.log(
    (await createMcpEndpoint(server, { ...options, logger: false }).listen({ port: 0 })).url,
  );
}
