/** Which requests take the short way into the SDK's server (docs/adr/transport.md), and which go through `onmessage`. */
import { createRequire } from 'node:module';
import * as v2 from '@modelcontextprotocol/server';
import * as v1 from '@modelcontextprotocol/sdk/server/index.js';
import * as v1Mcp from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import { Call } from '../../../src/session/calls/call.ts';
import { ServerTransport } from '../../../src/session/server/server-transport.ts';
import type { McpEndpointContext } from '../../../src/index.ts';
import { callModern } from '../../kit/modern.ts';
import { createLog } from '../../kit/log.ts';
import { serve } from '../../kit/serve.ts';

const require = createRequire(import.meta.url);
const v2CommonJs = require('@modelcontextprotocol/server') as typeof v2;
const v1CommonJs = require('@modelcontextprotocol/sdk/server/index.js') as typeof v1;
const v1McpCommonJs = require('@modelcontextprotocol/sdk/server/mcp.js') as typeof v1Mcp;

const info = { name: 'ways', version: '1.0.0' };

interface AnyServer {
  connect(transport: never): Promise<void>;
}

class RecordingTransport extends ServerTransport {
  protected readonly server: AnyServer;
  readonly log = createLog();
  protected readonly logger = this.log;
  readonly sent: unknown[] = [];
  readonly errors: Error[] = [];

  constructor(server: AnyServer) {
    super();
    this.server = server;
  }
  async start(): Promise<void> {}
  async close(): Promise<void> {}
  async send(message: unknown): Promise<void> {
    this.sent.push(message);
  }
  protected answerWith(): boolean {
    return false;
  }
}

/** The SDK's schemas refuse this message, so only a request that takes the short way is answered. */
const marked = { jsonrpc: '2.0', id: 1, method: 'ping', unknown: true };

async function wayOf(transport: RecordingTransport): Promise<'short' | 'public'> {
  transport.onerror = (error) => void transport.errors.push(error);
  const context = new Call(undefined, undefined, false, 1, 'ping', undefined);
  transport.receive(marked, context);
  await new Promise((resolve) => setImmediate(resolve));
  const { sent } = transport;
  return sent.length === 1 ? 'short' : 'public';
}

async function connected(server: AnyServer): Promise<RecordingTransport> {
  const transport = new RecordingTransport(server);
  await server.connect(transport as never);
  return transport;
}

describe('a request takes the short way into', () => {
  test.each<[string, () => AnyServer]>([
    ['a Server', () => new v2.Server(info)],
    ['an McpServer', () => new v2.McpServer(info)],
    ['a Server of the CommonJS build', () => new v2CommonJs.Server(info)],
    ['an McpServer of the CommonJS build', () => new v2CommonJs.McpServer(info)],
    ['a Server of version 1', () => new v1.Server(info)],
    ['an McpServer of version 1', () => new v1Mcp.McpServer(info)],
    ['a Server of version 1, CommonJS', () => new v1CommonJs.Server(info)],
    ['an McpServer of version 1, CommonJS', () => new v1McpCommonJs.McpServer(info)],
    ['a subclass of McpServer', () => new (class extends v2.McpServer {})(info)],
  ])('%s', async (_name, createServer) => {
    expect(await wayOf(await connected(createServer()))).toBe('short');
  });
});

/** The SDK's schemas refuse this notification, so only the short way brings it to the server. */
const told = { jsonrpc: '2.0', method: 'notifications/initialized', unknown: true };

describe('a notification', () => {
  test.each<[string, () => v2.Server | v1.Server]>([
    ['version 2', () => new v2.Server(info)],
    ['version 1', () => new v1.Server(info)],
  ])(
    'takes the short way into a server of %s, and goes through an onmessage that was replaced',
    async (_name, create) => {
      const server = create();
      let heard = 0;
      server.oninitialized = () => void (heard += 1);
      const transport = await connected(server);
      const tell = async (message: object): Promise<number> => {
        const before = heard;
        transport.receive(message, new Call(undefined, undefined, false, undefined, told.method, undefined));
        await new Promise((resolve) => setImmediate(resolve));
        return heard - before;
      };
      expect(await tell(told)).toBe(1);
      const { onmessage } = transport;
      const seen: unknown[] = [];
      transport.onmessage = (message, extra) => {
        seen.push(message);
        onmessage?.(message, extra);
      };
      const plain = { jsonrpc: '2.0', method: told.method };
      expect([await tell(told), await tell(plain)]).toEqual([0, 1]);
      expect(seen).toEqual([told, plain]);
    },
  );

  test('an answer of the client goes through onmessage', async () => {
    const server = new v2.Server(info);
    const transport = await connected(server);
    const pinged = server.ping();
    await new Promise((resolve) => setImmediate(resolve));
    const { id } = transport.sent[0] as { id: number };
    const context = new Call(undefined, undefined, false, undefined, undefined, undefined);
    transport.receive({ jsonrpc: '2.0', id, result: {} }, context);
    expect(await pinged).toEqual({});
  });
});

type Connect = (transport: v2.Transport) => Promise<void>;

/** As tracing tools do it: `connect` of one server is replaced. */
function withConnect(replace: (connect: Connect, transport: v2.Transport) => Promise<void>): AnyServer {
  const server = new v2.McpServer(info);
  const connect = server.connect.bind(server);
  server.connect = (transport) => replace(connect, transport);
  return server;
}

describe('a request goes through onmessage', () => {
  test.each<[string, () => AnyServer]>([
    ['of a subclass of Server', () => new (class extends v2.Server {})(info)],
    [
      'where it was replaced after connect',
      () =>
        withConnect(async (connect, transport) => {
          await connect(transport);
          const { onmessage } = transport;
          transport.onmessage = (message, extra) => onmessage?.(message, extra);
        }),
    ],
    [
      'where it was set before connect',
      () =>
        withConnect(async (connect, transport) => {
          transport.onmessage = () => {};
          await connect(transport);
        }),
    ],
    [
      'where it was removed and set again',
      () =>
        withConnect(async (connect, transport) => {
          await connect(transport);
          const { onmessage } = transport;
          delete transport.onmessage;
          (transport as { onmessage: unknown }).onmessage = undefined;
          transport.onmessage = (message, extra) => onmessage?.(message, extra);
        }),
    ],
    [
      'where another property hides it',
      () =>
        withConnect(async (connect, transport) => {
          await connect(transport);
          const { onmessage } = transport;
          Object.defineProperty(transport, 'onmessage', { value: onmessage?.bind(undefined) });
        }),
    ],
    [
      'where the server is connected to another transport',
      () =>
        withConnect((connect, transport) => {
          const between: v2.Transport = {
            start: () => transport.start(),
            close: () => transport.close(),
            send: (message, options) => transport.send(message, options),
          };
          const connecting = connect(between);
          const { onmessage } = between;
          transport.onmessage = (message, extra) => onmessage?.(message, extra);
          return connecting;
        }),
    ],
    [
      'of a server that is none of the SDK',
      () => ({
        server: undefined,
        connect: async (transport: v2.Transport) => {
          transport.onmessage = () => {};
        },
      }),
    ],
  ])('%s', async (_name, createServer) => {
    expect(await wayOf(await connected(createServer()))).toBe('public');
  });

  test('that was replaced between two requests', async () => {
    const transport = await connected(new v2.McpServer(info));
    expect(await wayOf(transport)).toBe('short');
    const { onmessage } = transport;
    const seen: unknown[] = [];
    transport.onmessage = (message, extra) => {
      seen.push(message);
      onmessage?.(message, extra);
    };
    transport.sent.length = 0;
    expect(await wayOf(transport)).toBe('public');
    expect(seen).toEqual([marked]);
  });
});

describe.each(['a factory', 'one definition'])('with %s, a tool that wraps connect sees every message', (way) => {
  /** As a tracing tool wraps the server that the application built. */
  function traced(seen: string[]): (ctx?: McpEndpointContext) => v2.McpServer {
    return (ctx) => {
      const server = new v2.McpServer(info, { ...ctx?.serverOptions });
      server.registerTool('echo', {}, () => ({ content: [{ type: 'text', text: 'hi' }] }));
      const { connect } = server;
      server.connect = async function (this: v2.McpServer, transport) {
        await connect.call(this, transport);
        const { onmessage } = transport;
        transport.onmessage = (message, extra) => {
          if ('method' in message) seen.push(message.method);
          onmessage?.(message, extra);
        };
      };
      return server;
    };
  }

  test('of a session and of 2026-07-28', async () => {
    const seen: string[] = [];
    const create = traced(seen);
    const served = await serve(way === 'a factory' ? create : create());
    const client = served.client();
    await client.initialize();
    const { message } = await client.call('tools/call', { name: 'echo' });
    expect(message.result).toMatchObject({ content: [{ text: 'hi' }] });
    expect(seen).toEqual(['initialize', 'notifications/initialized', 'tools/call']);
    seen.length = 0;
    const modern = await callModern(served.client(), 'tools/call', { name: 'echo' });
    expect(modern.message.result).toMatchObject({ content: [{ text: 'hi' }] });
    expect(seen).toEqual(['tools/call']);
  });
});
