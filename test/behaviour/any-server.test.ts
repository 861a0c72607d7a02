/**
 * What a factory may make besides SDK v2 servers: those of SDK v1, and servers of one's own, both for sessions alone;
 * or a server of each line.
 */
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ListToolsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { McpServer, type McpServerFactory, type Transport } from '@modelcontextprotocol/server';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import type { ConnectableServer, McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { connectNegotiating, connectV1, sessionClients } from '../clients/official.ts';
import { callModern, MODERN } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { session } from '../kit/sessions.ts';
import { userToken } from '../kit/issuer.ts';
import { said } from '../kit/tool-server.ts';

const info = { name: 'v1', version: '1.0.0' };

/** As the guides of SDK v1 write it. */
function createV1Server(): McpServerV1 {
  const server = new McpServerV1(info, { capabilities: { logging: {} } });
  server.registerTool('add', { inputSchema: { a: z.number(), b: z.number() } }, ({ a, b }) => ({
    content: [{ type: 'text', text: `${a + b}` }],
  }));
  server.registerTool('extra', {}, (extra) => {
    const { requestInfo, authInfo, sessionId } = extra;
    const seen = {
      tenant: requestInfo?.headers['x-tenant'],
      path: requestInfo?.url?.pathname,
      plain: Object.getPrototypeOf(requestInfo?.headers) === Object.prototype,
      user: authInfo?.clientId,
      sessionId,
      closeSSEStream: typeof extra.closeSSEStream,
    };
    return { content: [{ type: 'text', text: JSON.stringify(seen) }] };
  });
  server.registerTool('ask', {}, async (extra) => {
    const progressToken = extra._meta?.progressToken ?? 0;
    await extra.sendNotification({
      method: 'notifications/progress',
      params: { progressToken, progress: 1 },
    });
    const { content } = await extra.sendRequest(
      { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } },
      CreateMessageResultSchema,
    );
    const { content: given } = await server.server.elicitInput({
      message: 'Who?',
      requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
    });
    return { content: [{ type: 'text', text: JSON.stringify([content, given]) }] };
  });
  return server;
}

const textOf = (result: object): string =>
  (result as { content: Array<{ text: string }> }).content[0]?.text ?? '';

describe('a server of SDK v1', () => {
  test('asks its client on the stream of the call', async () => {
    const { url } = await serve(createV1Server);
    const content = { type: 'text' as const, text: '42' };
    const { say } = await connectV1(url, {
      sample: () => ({ role: 'assistant', model: 'm', content }),
      elicit: () => ({ action: 'accept', content: { name: 'Ada' } }),
    });
    const steps: number[] = [];
    const onprogress = ({ progress }: { progress: number }): void => void steps.push(progress);
    expect(JSON.parse(await say('ask', {}, { onprogress }))).toEqual([content, { name: 'Ada' }]);
    expect(steps).toEqual([1]);
  });

  test.each(faces)('finds in extra what its own transport gave it, over %s', async (face) => {
    const auth = () => ({ token: 't', clientId: 'app', scopes: [], extra: { sub: 'ada' } });
    const { openSession } = await serve(createV1Server, {}, { face, auth });
    const client = await openSession({}, { headers: { 'x-tenant': 'acme' } });
    const { message } = await client.call('tools/call', { name: 'extra' });
    expect(JSON.parse(textOf(message.result as object))).toEqual({
      tenant: 'acme',
      path: '/mcp',
      plain: true,
      user: 'app',
      sessionId: client.sessionId,
      closeSSEStream: 'function',
    });
  });

  test('may be a bare Server, and come late', async () => {
    const { one } = await session(async () => {
      const server = new ServerV1(info, { capabilities: { tools: {} } });
      server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [] }));
      return server;
    });
    expect((await one.call('tools/list')).message.result).toEqual({ tools: [] });
  });

  test.each(['hybrid', 'stateless'] as const)(
    'refuses the modern era with what it speaks, in %s',
    async (sessionMode) => {
      let closed = 0;
      const { client } = await serve(
        () => {
          const server = createV1Server();
          server.close = async () => void (closed += 1);
          return server;
        },
        { sessionMode },
      );
      for (const method of ['tools/list', 'server/discover', 'subscriptions/listen']) {
        const { id, response, message } = await callModern(client(), method);
        expect([response.status, message.id]).toEqual([400, id]);
        expect(message.error).toMatchObject({
          code: -32022,
          data: {
            requested: MODERN,
            supported: ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'],
          },
        });
      }
      await until(() => closed === 3, { what: 'servers that were made for nothing are closed' });
    },
  );
});

/** Nothing but `connect` and `close`. */
class OwnServer implements ConnectableServer {
  closed = false;
  transport: Transport | undefined;

  async connect(transport: Transport): Promise<void> {
    this.transport = transport;
    transport.onmessage = (message) => {
      if (!('id' in message) || !('method' in message)) return;
      const { id, method, params } = message;
      const result =
        method === 'initialize'
          ? {
              protocolVersion: params?.['protocolVersion'],
              capabilities: {},
              serverInfo: { name: 'own', version: '1' },
            }
          : { method, sessionId: transport.sessionId };
      void transport.send({ jsonrpc: '2.0', id, result });
    };
    await transport.start();
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.transport?.close();
  }
}

describe("a server of one's own", { tags: ['per-session'] }, () => {
  const open = async () => {
    const own = new OwnServer();
    return { own, ...(await session(() => own)) };
  };

  test('serves a session, pushes to it, and is closed with it', async () => {
    const { own, one } = await open();
    expect((await one.call('own/method')).message.result).toEqual({
      method: 'own/method',
      sessionId: one.sessionId,
    });
    const stream = await one.get();
    await own.transport?.send({ jsonrpc: '2.0', method: 'notifications/own' });
    expect(await stream.nextMessage()).toEqual({ jsonrpc: '2.0', method: 'notifications/own' });
    expect(own.closed).toBe(false);
    expect((await one.delete()).status).toBe(200);
    expect(own.closed).toBe(true);
  });

  test('ends its session when it closes itself', async () => {
    const { own, one, endpoint } = await open();
    await own.close();
    await until(() => endpoint.sessions.liveCount === 0);
    expect((await one.call('own/method')).response.status).toBe(404);
  });
});

describe('an option that runs around handlers', { tags: ['per-session'] }, () => {
  const options: Array<[string, McpEndpointOptions]> = [
    ['middleware', { middleware: (_, next) => next() }],
    ['auth.authorize', { auth: { verify: userToken, authorize: () => true } }],
  ];
  /** Shows one server, and connects another. */
  const twoServers = (): ConnectableServer => {
    const [shown, connected] = [createV1Server(), createV1Server()];
    return {
      server: shown.server,
      connect: (transport: Transport) => connected.connect(transport),
      close: () => connected.close(),
    } as ConnectableServer;
  };

  test.each(options)(
    '%s refuses an object without the tables of handlers, in sessions and without',
    async (name, option) => {
      for (const make of [() => new OwnServer(), twoServers])
        for (const sessionMode of ['stateful', 'stateless'] as const) {
          const { client, log } = await serve(make, { ...option, sessionMode });
          const { response, message } = await client({
            headers: { authorization: 'Bearer t' },
          }).initialize();
          expect([response.status, message.result]).toEqual([500, undefined]);
          const lines = log
            .matching(/./, 'warn')
            .map(({ message, fields }) => message + String(fields['err']));
          expect(lines.join()).toContain(`the option ${name} needs`);
        }
    },
  );
});

/**
 * The habit of a framework that serves both eras with a server of each line. Its factory returns an SDK 2 server for
 * 2026-07-28, and for sessions an object whose `connect()` passes copies of the messages on, with the session's id in
 * `_meta`, as its own transports did.
 */
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
        const _meta = {
          ...(params?.['_meta'] as object | undefined),
          sessionId: transport.sessionId ?? 'none',
        };
        deliver?.({ ...message, params: { ...params, _meta } } as never, extra);
      };
    },
    close: () => server.close(),
  };
}

const ofBothLines: McpEndpointFactory = ({ era, serverOptions }) => {
  if (era !== 'modern') return sessionServer();
  const server = new McpServer(info, serverOptions);
  server.registerTool('who', {}, () => said('no session'));
  return server;
};

describe('a factory with a server of each line', () => {
  test.each(sessionClients)(
    'the %s client gets its session, and the same after a restore',
    async (_name, connect) => {
      const store = memory();
      const first = await serve(ofBothLines, { store });
      let { url } = first;
      const client = await connect(url, { route: () => url });
      expect(await client.say('who')).toBe(`session ${client.sessionId}`);
      const second = await serve(ofBothLines, { store });
      ({ url } = second);
      await first.endpoint.close({ timeoutMs: 0 });
      expect(await client.say('who')).toBe(`session ${client.sessionId}`);
      for (const { log } of [first, second])
        expect([...log.matching(/./, 'error'), ...log.matching(/cannot serve/)]).toEqual([]);
    },
  );

  test.each(sessionClients)('the %s client is served without sessions', async (_name, connect) => {
    const { url, log } = await serve(ofBothLines, { sessionMode: 'stateless' });
    expect(await (await connect(url)).say('who')).toBe('session none');
    expect(log.matching(/./, 'error')).toEqual([]);
  });

  test('a client of both eras gets 2026-07-28, from the other server', async () => {
    const { url, log } = await serve(ofBothLines);
    const client = await connectNegotiating(url);
    expect([client.protocolVersion(), await client.say('who')]).toEqual([
      '2026-07-28',
      'no session',
    ]);
    expect(log.matching(/./, 'warn')).toEqual([]);
  });
});

test('factories of all of these are factories to the compiler too', () => {
  expectTypeOf<McpServerV1>().toExtend<ConnectableServer>();
  expectTypeOf<ServerV1>().toExtend<ConnectableServer>();
  expectTypeOf<McpServerFactory>().toExtend<McpEndpointFactory>();
  expectTypeOf<() => McpServerV1>().toExtend<McpEndpointFactory>();
  expectTypeOf<() => Promise<McpServerV1>>().toExtend<McpEndpointFactory>();
  expectTypeOf<() => OwnServer>().toExtend<McpEndpointFactory>();
  expectTypeOf<() => { connect(): void }>().not.toExtend<McpEndpointFactory>();
});
