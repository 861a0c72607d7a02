/**
 * The habit of a framework that serves both eras with a server of each line. Its factory returns an SDK 2 server for
 * 2026-07-28, and for sessions an object whose `connect()` passes copies of the messages on, with the session's id in
 * `_meta`, as its own transports did.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { CallToolRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { expect, test } from 'vitest';
import type { ConnectableServer, McpEndpointFactory } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { connectNegotiating, sessionClients } from '../clients/official.ts';
import { serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';

const info = { name: 'both', version: '1.0.0' };

function sessionServer(): ConnectableServer {
  const server = new ServerV1(info, { capabilities: { tools: {} } });
  server.setRequestHandler(CallToolRequestSchema, ({ params: { _meta } }) => {
    if (_meta?.['sessionId'] === undefined) throw new Error('A session id is required');
    return said(`session ${String(_meta['sessionId'])}`);
  });
  return {
    async connect(transport) {
      await server.connect(transport);
      const deliver = transport.onmessage;
      transport.onmessage = (message, extra) => {
        const { params } = message as { params?: Record<string, unknown> };
        const _meta = { ...(params?.['_meta'] as object | undefined), sessionId: transport.sessionId ?? 'none' };
        deliver?.({ ...message, params: { ...params, _meta } } as never, extra);
      };
    },
    close: () => server.close(),
  };
}

const factory: McpEndpointFactory = ({ era, serverOptions }) => {
  if (era !== 'modern') return sessionServer();
  const server = new McpServer(info, serverOptions);
  server.registerTool('who', {}, () => said('no session'));
  return server;
};

test.each(sessionClients)('the %s client gets its session, and the same after a restore', async (_name, connect) => {
  const store = memory();
  const first = await serve(factory, { store });
  let { url } = first;
  const client = await connect(url, { route: () => url });
  expect(await client.say('who')).toBe(`session ${client.sessionId}`);
  const second = await serve(factory, { store });
  ({ url } = second);
  await first.endpoint.close();
  expect(await client.say('who')).toBe(`session ${client.sessionId}`);
  for (const { log } of [first, second])
    expect([...log.matching(/./, 'error'), ...log.matching(/cannot serve/)]).toEqual([]);
});

test.each(sessionClients)('the %s client is served without sessions', async (_name, connect) => {
  const { url, log } = await serve(factory, { sessionMode: 'stateless' });
  expect(await (await connect(url)).say('who')).toBe('session none');
  expect(log.matching(/./, 'error')).toEqual([]);
});

test('a client of both eras gets 2026-07-28, from the other server', async () => {
  const { url, log } = await serve(factory);
  const client = await connectNegotiating(url);
  expect([client.protocolVersion(), await client.say('who')]).toEqual(['2026-07-28', 'no session']);
  expect(log.matching(/./, 'warn')).toEqual([]);
});
