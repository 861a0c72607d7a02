import process from 'node:process';
import { endpoint, ready } from './smoke-server.mjs';

globalThis.process ??= process;
const onListen = ({ port }) => ready(`http://127.0.0.1:${port}/mcp`, () => server.shutdown());
const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen }, (request) =>
  endpoint.fetch(request),
);
