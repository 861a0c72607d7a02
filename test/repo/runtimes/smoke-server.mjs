/** What every runtime serves: an endpoint of the built package, and how it says that it is ready and when it stops. */
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint } from '../../../dist/index.js';

const inputSchema = z.object({ message: z.string() });
const done = { content: [{ type: 'text', text: 'done' }] };
let release = () => {};

export const endpoint = createMcpEndpoint((ctx) => {
  const server = new McpServer({ name: 'smoke', version: '1.0.0' }, { ...ctx.serverOptions });
  server.registerTool('echo', { inputSchema }, ({ message }) => ({
    content: [{ type: 'text', text: message }],
  }));
  // The list has changed: a message of no request, so it takes the GET stream.
  server.registerTool('announce', {}, () => {
    server.sendToolListChanged();
    return done;
  });
  // Answers only when `release` is called.
  server.registerTool('hold', {}, () => new Promise((resolve) => (release = () => resolve(done))));
  server.registerTool('release', {}, () => {
    release();
    return done;
  });
  return server;
});

/** @param {string} url @param {() => unknown} stop closes the listener; the process then ends by itself */
export function ready(url, stop) {
  console.log(url);
  const close = async () => {
    await endpoint.close({ timeoutMs: 0 });
    await stop();
  };
  process.once('SIGTERM', () => void close());
}
