/** The object that the application built, once it serves: its members lead to the server of the running call. */
import { McpServer, Server } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { describe, expect, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';

const info = { name: 'one', version: '1.0.0' };

async function joined(client: RawClient, name: string): Promise<RawClient> {
  await client.initialize({ clientInfo: { name, version: '1' } });
  return client;
}

const call = async (client: RawClient, name: string): Promise<unknown> =>
  (await client.call('tools/call', { name, arguments: {} })).message.result;

describe.each([
  ['2', (): McpServer => new McpServer(info), Server],
  ['1', () => new McpServerV1(info) as unknown as McpServer, ServerV1],
] as const)('one server object of SDK %s', (_, make, Class) => {
  test('has what the application keeps on it, and what a handler sets there stays in its session', async () => {
    const server = make();
    const kept = server.server as unknown as { greeting?: string; mood?: string };
    kept.greeting = 'hello';
    server.registerTool('set', {}, () => {
      kept.mood = String(server.server.getClientVersion()?.name);
      kept.greeting = `${kept.greeting} ${kept.mood}`;
      return said('set');
    });
    server.registerTool('get', {}, () => said(`${kept.greeting}, ${kept.mood}`));
    const { client } = await serve(server);
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    await call(one, 'set');
    expect(await call(one, 'get')).toEqual(said('hello ann, ann'));
    expect(await call(two, 'get')).toEqual(said('hello, undefined'));
    expect([kept.greeting, kept.mood]).toEqual(['hello', undefined]);
    kept.greeting = 'good day';
    expect(await call(two, 'get')).toEqual(said('good day, undefined'));
  });

  test('stays an instance of its class, and keeps nothing of a client', async () => {
    const server = make();
    server.registerTool('who', {}, () => said(String(server.server.getClientVersion()?.name)));
    const { client } = await serve(server);
    expect(await call(await joined(client(), 'ann'), 'who')).toEqual(said('ann'));
    expect(server.server).toBeInstanceOf(Class);
    expect([server.server.getClientVersion(), server.server.transport]).toEqual([undefined, undefined]);
    expect(Reflect.ownKeys(server.server)).toEqual([]);
  });

  test('that was connected before tells no session who its earlier client was', async () => {
    const server = make();
    const transport = { start: async () => {}, send: async () => {}, close: async () => {}, onclose: () => {} };
    await server.connect(transport);
    Reflect.set(server.server, '_clientVersion', { name: 'earlier', version: '1' });
    transport.onclose();
    const seen: unknown[] = [];
    server.server.oninitialized = () => seen.push(server.server.getClientVersion()?.name);
    server.registerTool('who', {}, () => said(String(server.server.getClientVersion()?.name)));
    const { client } = await serve(server);
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    expect([await call(one, 'who'), await call(two, 'who')]).toEqual([said('ann'), said('bob')]);
    expect(seen.toSorted()).toEqual(['ann', 'bob']);
  });

  test('that is frozen is refused', () => {
    const server = make();
    Object.freeze(server.server);
    expect(() => createMcpEndpoint(server)).toThrow(/it is frozen or sealed, .* pass a factory/);
  });
});
