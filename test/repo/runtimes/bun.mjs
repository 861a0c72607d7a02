import { endpoint, ready } from './smoke-server.mjs';

// Bun cuts connections that are quiet for 10 s; an SSE stream may be quiet for longer.
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 0,
  fetch: (request) => endpoint.fetch(request),
});
ready(`http://127.0.0.1:${server.port}/mcp`, () => server.stop());
