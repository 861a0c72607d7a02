/** `auth.authorize` on an endpoint that was given one server for all callers. */
import { McpServer } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { createRawClient } from '../kit/raw-client.ts';
import { bearer } from '../kit/issuer.ts';
import { callModern } from '../kit/modern.ts';
import { said } from '../kit/tool-server.ts';

test('what one caller may use another does not see, in sessions and in 2026-07-28', async () => {
  const ran: string[] = [];
  const server = new McpServer({ name: 'shared', version: '1' });
  for (const name of ['open', 'secret']) {
    server.registerTool(name, {}, () => {
      ran.push(name);
      return said(name);
    });
  }
  const endpoint = createMcpEndpoint(server, {
    auth: {
      verify: async (token) => ({
        token,
        clientId: 'c',
        scopes: [],
        expiresAt: Math.floor(Date.now() / 1_000) + 600,
        extra: { sub: token },
      }),
      authorize: async (_kind, name, { extra }) => extra?.['sub'] === 'admin' || name !== 'secret',
    },
  });
  const { url } = await endpoint.listen({ port: 0 });
  const clients = ['user', 'admin', 'user'].map((role) => createRawClient(url, bearer(role)));
  onTestFinished(async () => {
    for (const client of clients) client.close();
    await endpoint.close();
  });
  for (const client of clients) await client.initialize();
  const seen = async (method: string, params = {}) =>
    Promise.all(
      clients.flatMap((client) => [
        client.call(method, params).then(({ message }) => JSON.stringify(message)),
        callModern(client, method, params).then(({ message }) => JSON.stringify(message)),
      ]),
    );
  const lists = await seen('tools/list');
  expect(lists.map((list) => list.includes('"secret"'))).toEqual([false, false, true, true, false, false]);
  const calls = await seen('tools/call', { name: 'secret', arguments: {} });
  expect(calls.map((call) => call.includes('Tool secret not found'))).toEqual([true, true, false, false, true, true]);
  expect(ran).toEqual(['secret', 'secret']);
});
