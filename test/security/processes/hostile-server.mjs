/**
 * Endpoints of every mode under every face, with `legacySse: true` where there are sessions; prints their ports as one
 * line of JSON.
 */
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint } from '../../../dist/index.js';

function factory(ctx) {
  const server = new McpServer({ name: 'hostile', version: '1' }, { ...ctx.serverOptions });
  server.registerTool('echo', { inputSchema: z.looseObject({}) }, (args) => {
    // What handlers do with a request.
    const url = ctx.requestInfo === undefined ? '' : new URL(ctx.requestInfo.url).pathname;
    return { content: [{ type: 'text', text: `${url} ${JSON.stringify(args)}` }] };
  });
  return server;
}

async function mount(listener) {
  const server = createServer(listener);
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return server.address().port;
}

const ports = {};
for (const sessionMode of ['hybrid', 'stateful', 'stateless']) {
  const endpoint = () => createMcpEndpoint(factory, { sessionMode, legacySse: sessionMode !== 'stateless' });
  ports[`${sessionMode} listen`] = (await endpoint().listen({ port: 0 })).port;
  const { node } = endpoint();
  ports[`${sessionMode} node`] = await mount((req, res) => node(req, res));
  const { fetch } = endpoint();
  ports[`${sessionMode} fetch`] = await mount(getRequestListener(fetch));
}
console.log(JSON.stringify(ports));
