/** 2026-07-28 requests to servers of another copy of the SDK than the copy that sojourn imports. */
import { createRequire } from 'node:module';
import { McpServer, type Transport } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { connectNegotiating } from '../../clients/official.ts';
import { callModern } from '../../kit/modern.ts';
import { textOf } from '../../kit/lab.ts';
import { serve } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';

/** The CommonJS build is another copy. */
const Other = (
  createRequire(import.meta.url)('@modelcontextprotocol/server') as { McpServer: typeof McpServer }
).McpServer;

const make =
  (McpServerClass: typeof McpServer, change: (server: McpServer) => void) => (): McpServer => {
    const server = new McpServerClass({ name: 'copy', version: '1.0.0' });
    server.registerTool('hello', {}, () => said('hello'));
    change(server);
    return server;
  };

/** As in a copy that does not know the method. */
const withoutDiscovery = (server: McpServer): void => {
  const { server: inner } = server;
  const set = inner.setRequestHandler.bind(inner) as (...args: unknown[]) => void;
  const setKnown = (method: string, ...more: unknown[]): void => {
    if (method === 'server/discover') throw new Error(`${method} is unknown`);
    set(method, ...more);
  };
  Reflect.set(inner, 'setRequestHandler', setKnown);
};

test('another copy is served in both eras', async () => {
  const { url, openSession, log } = await serve(make(Other, () => {}));
  const official = await connectNegotiating(url);
  expect(official.protocolVersion()).toBe('2026-07-28');
  expect(await official.say('hello')).toBe('hello');
  const one = await openSession();
  expect(textOf((await one.call('tools/call', { name: 'hello' })).message)).toBe('hello');
  expect(log.matching(/./, 'error')).toEqual([]);
});

test('a probe that the copy cannot serve is answered as an unsupported version, so its client falls back', async () => {
  const { url, client, log } = await serve(make(Other, withoutDiscovery));
  const { response, message } = await callModern(client(), 'server/discover');
  expect(response.status).toBe(400);
  expect(message.error).toMatchObject({ code: -32022, data: { requested: '2026-07-28' } });
  expect(message.error).toHaveProperty('data.supported', expect.arrayContaining(['2025-11-25']));
  expect(log.matching(/./, 'error')).toEqual([]);
  const official = await connectNegotiating(url);
  expect(official.protocolVersion()).toBe('2025-11-25');
  expect(await official.say('hello')).toBe('hello');
});

test('a copy that keeps the revision elsewhere serves earlier revisions alone', async () => {
  const moved = make(Other, ({ server }) => {
    Object.defineProperty(server, 'getNegotiatedProtocolVersion', { value: () => undefined });
  });
  const { client, openSession } = await serve(moved);
  const { response, message } = await callModern(client(), 'tools/list');
  expect([response.status, message.error?.code]).toEqual([400, -32022]);
  const one = await openSession();
  expect(textOf((await one.call('tools/call', { name: 'hello' })).message)).toBe('hello');
});

test('a probe stays a failure where the factory throws, or the server is of this copy', async () => {
  const throwing = await serve(
    make(Other, () => {
      throw new Error('the tenant is unknown');
    }),
  );
  expect((await callModern(throwing.client(), 'server/discover')).response.status).toBe(500);
  const refusing = await serve(
    make(McpServer, (server) => {
      server.connect = () => Promise.reject(new Error('the tenant is unknown'));
    }),
  );
  expect((await callModern(refusing.client(), 'server/discover')).response.status).toBe(500);
});

test('the log names the property in which the object that a factory returned holds a server of the SDK', async () => {
  const around = (): object => {
    const app = make(McpServer, () => {})();
    return {
      app,
      connect: (transport: Transport) => app.connect(transport),
      close: () => app.close(),
    };
  };
  const { url, log } = await serve(around as () => McpServer);
  const client = await connectNegotiating(url);
  expect(client.protocolVersion()).toBe('2025-11-25');
  const hint =
    'its server is none of the SDK, but its property app is one: return that from the factory';
  expect(log.matching(/cannot serve 2026-07-28/, 'warn').map(({ message }) => message)).toEqual([
    `This endpoint cannot serve 2026-07-28: ${hint}`,
  ]);
});

test('the error for a factory whose object cannot be connected names that property too', async () => {
  const { client, log } = await serve((() => ({
    mcp: make(McpServer, () => {})(),
  })) as unknown as () => McpServer);
  expect((await client().initialize()).response.status).toBe(500);
  const [line] = log.matching(/could not be/, 'warn');
  expect(JSON.stringify([line?.message, String(line?.fields['err'])])).toContain(
    'without connect() and close(), but its property mcp is one: return that from the factory',
  );
});
