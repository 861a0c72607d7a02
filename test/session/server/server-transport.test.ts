/** Requests take a short way into the SDK's server (docs/adr/transport.md), and a tool that wraps it sees them still. */
import { McpServer, type Transport } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext } from '../../../src/index.ts';
import { callModern } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';

type OnMessage = NonNullable<Transport['onmessage']>;
type Listen = (onmessage: OnMessage | undefined) => OnMessage;

/** How a tracing tool sees the messages of a server that connects. `listen` notes each message before it passes it on. */
const WAYS: Readonly<
  Record<string, (connect: () => Promise<void>, transport: Transport, listen: Listen) => unknown>
> = {
  'replaces onmessage after connect': async (connect, transport, listen) => {
    await connect();
    transport.onmessage = listen(transport.onmessage);
  },
  'sets onmessage before connect': (connect, transport, listen) => {
    transport.onmessage = listen(undefined);
    return connect();
  },
  'removes onmessage, and sets it again': async (connect, transport, listen) => {
    await connect();
    const { onmessage } = transport;
    delete transport.onmessage;
    (transport as { onmessage: unknown }).onmessage = undefined;
    transport.onmessage = listen(onmessage);
  },
  'hides onmessage by another property': async (connect, transport, listen) => {
    await connect();
    Object.defineProperty(transport, 'onmessage', { value: listen(transport.onmessage) });
  },
};

describe.each(['a factory', 'one definition'])(
  'with %s, a tool sees every message where it',
  (kind) => {
    function traced(way: string, seen: string[]): (ctx?: McpEndpointContext) => McpServer {
      const listen: Listen = (onmessage) => (message, extra) => {
        if ('method' in message) seen.push(message.method);
        onmessage?.(message, extra);
      };
      return (ctx) => {
        const server = new McpServer({ name: 'ways', version: '1.0.0' }, { ...ctx?.serverOptions });
        server.registerTool('echo', {}, () => said('hi'));
        const { connect } = server;
        server.connect = async function (this: McpServer, transport) {
          await WAYS[way]?.(() => connect.call(this, transport), transport, listen);
        };
        return server;
      };
    }

    test.each(Object.keys(WAYS))('%s: of a session and of 2026-07-28', async (way) => {
      const seen: string[] = [];
      const create = traced(way, seen);
      const served = await serve(kind === 'a factory' ? create : create());
      const client = await served.openSession();
      const { message } = await client.call('tools/call', { name: 'echo' });
      expect(message.result).toMatchObject({ content: [{ text: 'hi' }] });
      expect(seen).toEqual(['initialize', 'notifications/initialized', 'tools/call']);
      seen.length = 0;
      const modern = await callModern(served.client(), 'tools/call', { name: 'echo' });
      expect(modern.message.result).toMatchObject({ content: [{ text: 'hi' }] });
      expect(seen).toEqual(['tools/call']);
    });
  },
);

test('a tool that replaces onmessage between two messages sees the second one', async () => {
  const seen: string[] = [];
  const { openSession } = await serve(({ serverOptions }) => {
    const server = new McpServer({ name: 'ways', version: '1.0.0' }, serverOptions);
    server.registerTool('echo', {}, () => {
      const transport = server.server.transport as Transport;
      const { onmessage } = transport;
      transport.onmessage = (message, extra) => {
        if ('method' in message) seen.push(message.method);
        onmessage?.(message, extra);
      };
      return said('hi');
    });
    return server;
  });
  const one = await openSession();
  await one.call('tools/call', { name: 'echo' });
  await one.call('ping');
  expect(seen).toEqual(['ping']);
});

const servers: ReadonlyArray<readonly [string, () => McpServer | McpServerV1]> = [
  [
    'version 2',
    () => new McpServer({ name: 'ways', version: '1.0.0' }, { capabilities: { tools: {} } }),
  ],
  [
    'version 1',
    () => new McpServerV1({ name: 'ways', version: '1.0.0' }, { capabilities: { tools: {} } }),
  ],
];

test.each(servers)(
  'without such a tool a request takes the short way into a server of %s',
  async (_, create) => {
    const stacks: string[] = [];
    const served = await serve(() => {
      const made = create();
      const { server } = made as unknown as { server: { _onrequest(...args: unknown[]): void } };
      const { _onrequest: enter } = server;
      server._onrequest = function (...args) {
        stacks.push(String(new Error('entered').stack));
        enter.apply(this, args);
      };
      return made;
    });
    const client = await served.openSession();
    await client.call('ping');
    expect(stacks).toEqual([
      expect.stringContaining('request-entry'),
      expect.stringContaining('request-entry'),
    ]);
  },
);
