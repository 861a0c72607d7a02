/** One server that serves every session and request of an endpoint, of both versions of the SDK. */
import { McpServer, Server } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js';
import { Client, InMemoryTransport } from '@modelcontextprotocol/client';
import { describe, expect, test } from 'vitest';
import { say, textOf, tool, toolCall } from '../../../kit/lab.ts';
import { createMcpEndpoint, currentSession } from '../../../../src/index.ts';
import type { RawClient } from '../../../kit/raw-client.ts';
import type { RawResponse } from '../../../kit/raw-response.ts';
import { callModern, postModern } from '../../../kit/modern.ts';
import { faces, serve } from '../../../kit/serve.ts';
import { said } from '../../../kit/tool-server.ts';
import { until } from '../../../kit/until.ts';

const LOGGING = { capabilities: { logging: {}, tools: { listChanged: true } } };
const info = { name: 'one', version: '1.0.0' };

const definition = (): McpServer => new McpServer(info, LOGGING);

/** Answers the question on the stream of a call, and returns the answer of the call. */
async function callAnswering(client: RawClient, name: string, result: object): Promise<unknown> {
  const id = client.nextId();
  const response = await client.post(toolCall(id, name));
  const asked = await response.nextMessage((m) => m.method !== undefined && m.id !== undefined);
  await client.post({ jsonrpc: '2.0', id: asked.id, result });
  return response.nextMessage((m) => m.id === id && m.result !== undefined);
}

const methodsOf = ({ messages }: RawResponse): unknown[] => messages.map(({ method }) => method);

describe.each(faces)('one definition, over %s', (face) => {
  test('announces what is registered at run time once per turn, to sessions and to subscriptions', async () => {
    const server = definition();
    const tool = server.registerTool('first', {}, () => said('first'));
    const { client } = await serve(server, {}, { face });
    const clients = [client(), client()];
    const streams = await Promise.all(
      clients.map(async (one) => {
        await one.initialize();
        const stream = await one.get();
        await until(() => stream.events.length > 0);
        return stream;
      }),
    );
    const listening = await postModern(client(), 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
    await listening.nextMessage();
    const changed = (response: RawResponse): number =>
      methodsOf(response).filter((method) => method === 'notifications/tools/list_changed').length;
    for (const name of ['second', 'third', 'fourth'])
      server.registerTool(name, {}, () => said(name));
    tool.disable();
    await until(() => [...streams, listening].every((stream) => changed(stream) === 1));
    const listed = await clients[0]?.call('tools/list');
    expect(listed?.message.result).toMatchObject({
      tools: [{ name: 'second' }, { name: 'third' }, { name: 'fourth' }],
    });
    tool.remove();
    await until(() => [...streams, listening].every((stream) => changed(stream) === 2));
  });

  test('ends one session when a handler closes the shared server', async () => {
    const server = definition();
    server.registerTool('leave', {}, async () => {
      setImmediate(() => void server.close().catch(() => {}));
      await server.close();
      return said('left');
    });
    const { client, endpoint } = await serve(server, {}, { face });
    const [one, two] = [client(), client()];
    await one.initialize();
    await two.initialize();
    await say(one, 'leave').catch(() => {});
    await until(() => endpoint.sessions.liveCount === 1);
    expect((await two.call('ping')).message.result).toEqual({});
  });
});

describe('outside of a handler', () => {
  test('each question through the shared server fails and says what to do', async () => {
    const server = definition();
    server.registerTool('nothing', {}, () => said(''));
    const { openSession } = await serve(server);
    await openSession({ capabilities: { elicitation: {}, sampling: {}, roots: {} } });
    const { server: shared } = server;
    const sends = [
      () =>
        shared.elicitInput({
          message: 'hello',
          requestedSchema: { type: 'object', properties: {} },
        }),
      () => shared.createMessage({ messages: [], maxTokens: 1 }),
      () => shared.listRoots(),
      () => shared.ping(),
      () => shared.request({ method: 'ping' }),
      () => server.close(),
    ];
    for (const send of sends) {
      const error: unknown = await send().catch((cause: unknown) => cause);
      expect(error).toMatchObject({ code: 'OUTSIDE_HANDLER' });
      expect((error as Error).message).toMatch(
        /while none of its handlers runs.*(currentSession\(\)\.server|endpoint\.close\(\))/s,
      );
    }
    expect(shared.getClientVersion()).toBeUndefined();
    expect(server.isConnected()).toBe(false);
  });
});

describe('a server that cannot be a definition', () => {
  const refused = (message: RegExp): unknown =>
    expect.objectContaining({
      code: 'DEFINITION_REFUSED',
      message: expect.stringMatching(message) as string,
    });
  const attempt = (given: object): unknown => {
    try {
      createMcpEndpoint(given as McpServer);
    } catch (error) {
      return error;
    }
    return undefined;
  };

  test('is refused while it is connected', async () => {
    const server = definition();
    const [transport] = InMemoryTransport.createLinkedPair();
    await server.connect(transport);
    expect(attempt(server)).toEqual(refused(/is connected to a transport/));
    await server.close();
  });

  test('is refused while another endpoint serves it, and accepted after that endpoint was closed', async () => {
    const server = definition();
    const first = createMcpEndpoint(server);
    expect(attempt(server)).toEqual(refused(/another endpoint serves it/));
    expect(attempt(server.server)).toEqual(refused(/another endpoint serves it/));
    await first.close();
    const { client } = await serve(server);
    expect((await client().initialize()).response.status).toBe(200);
  });

  class Own extends Server {
    clients = 0;
  }
  class Framework {
    readonly server = definition();
  }
  class Behind {
    readonly #server = new McpServerV1(info);
    get server(): McpServerV1 {
      return this.#server;
    }
  }
  // With it a session could list the tasks of others.
  const withTaskStore = (): McpServerV1 =>
    new McpServerV1(info, {
      taskStore: new InMemoryTaskStore(),
      capabilities: { tasks: { list: {} } },
    });
  const neither =
    /it is an object, and neither an McpServer nor a Server of the SDK; .* creates a new server in each call/;
  const around = (what: string, property: string): RegExp =>
    new RegExp(`it is ${what} around a server of the SDK; pass .* in its property ${property}$`);

  test.each<[what: string, given: object, message: RegExp]>([
    [
      'its class extends the low-level Server',
      new Own(info, LOGGING),
      /class Own extends the SDK's Server/,
    ],
    ['it has the task store of SDK 1', withTaskStore(), /taskStore .* of its own/],
    ['its server has the task store of SDK 1', withTaskStore().server, /taskStore .* of its own/],
    ['it is no server of the SDK', { connect: async () => {}, close: async () => {} }, neither],
    ['it is a client', new Client(info), /an object of class Client, and neither/],
    ['it is a promise', Promise.resolve(definition()), /it is a promise; await it/],
    ['it holds a server', new Framework(), around('an object of class Framework', 'server')],
    ['it has a getter for a server', new Behind(), around('an object of class Behind', 'server')],
    ['it is an object with a server', { mcp: new Server(info) }, around('an object', 'mcp')],
  ])('is refused when %s', (_what, given, message) => {
    expect(attempt(given)).toEqual(refused(message));
  });

  test.each([
    [undefined, /Option server: got undefined/],
    ['x', /Option server/],
    [McpServer, /Option server/],
  ])('is refused when it is %s', (given, message) => {
    expect(() => createMcpEndpoint(given as never)).toThrow(message);
  });

  test('is left as it was when the options are wrong', async () => {
    const server = definition();
    expect(() => createMcpEndpoint(server, { leaseMs: -1 })).toThrow(/leaseMs/);
    const [transport] = InMemoryTransport.createLinkedPair();
    await server.connect(transport);
    await server.close();
  });

  test('cannot be connected afterwards', async () => {
    const server = definition();
    await serve(server);
    const [transport] = InMemoryTransport.createLinkedPair();
    await expect(server.connect(transport)).rejects.toEqual(
      refused(/cannot be connected by itself/),
    );
  });

  test('may extend McpServer', async () => {
    class Own extends McpServer {
      greeting = 'hello';
    }
    const server = new Own(info, LOGGING);
    server.registerTool('greet', {}, () =>
      said(`${server.greeting} ${currentSession()?.server instanceof Own}`),
    );
    const { openSession } = await serve(server);
    const one = await openSession();
    expect(await say(one, 'greet')).toBe('hello true');
  });
});

describe('the server of one session', () => {
  test('registers nothing, because that would be for every session', async () => {
    const server = definition();
    server.registerTool('add', {}, () => {
      const own = currentSession()?.server as McpServer | undefined;
      own?.registerTool('mine', {}, () => said(''));
      return said('');
    });
    const { openSession } = await serve(server);
    const one = await openSession();
    const { message } = await one.call(...tool('add'));
    expect(message.result).toMatchObject({ isError: true });
    expect(textOf(message)).toMatch(/Register on the definition itself/);
    expect((await one.call('tools/list')).message.result).toMatchObject({
      tools: [{ name: 'add' }],
    });
  });

  test('gets the options of configureSessionOptions over those of the definition', async () => {
    const server = new McpServer(info, { ...LOGGING, instructions: 'for all' });
    server.registerTool('add', {}, () => said(''));
    const { client } = await serve(server, {
      configureSessionOptions: (request) =>
        request.headers.get('x-instructions') === null
          ? undefined
          : {
              instructions: request.headers.get('x-instructions') ?? '',
              capabilities: { experimental: { own: {} } },
            },
    });
    const plain = (await client().initialize()).message.result;
    const own = (await client().initialize({ headers: { 'x-instructions': 'for one' } })).message
      .result;
    expect(plain).toMatchObject({
      instructions: 'for all',
      capabilities: { tools: {}, logging: {} },
    });
    expect(own).toMatchObject({
      instructions: 'for one',
      capabilities: { tools: {}, logging: {}, experimental: { own: {} } },
    });
    expect(Reflect.has((plain as { capabilities: object }).capabilities, 'experimental')).toBe(
      false,
    );
  });

  test('serves a low-level Server with its own handlers, replaced ones too', async () => {
    const server = new Server(info, { capabilities: { tools: {} } });
    server.setRequestHandler('tools/list', () => ({
      tools: [
        { name: `of-${currentSession()?.userKey ?? 'all'}`, inputSchema: { type: 'object' } },
      ],
    }));
    server.setRequestHandler('ping', () => ({ _meta: { own: true } }));
    server.fallbackRequestHandler = async ({ method }) => ({ fallback: method });
    const { openSession } = await serve(server);
    const one = await openSession();
    expect((await one.call('tools/list')).message.result).toMatchObject({
      tools: [{ name: 'of-all' }],
    });
    expect((await one.call('ping')).message.result).toEqual({ _meta: { own: true } });
    expect((await one.call('own/method')).message.result).toEqual({ fallback: 'own/method' });
  });
});

describe('a server of SDK version 1', () => {
  test('serves sessions, and reaches the right one inside a handler', async () => {
    const server = new McpServerV1(info, { capabilities: { logging: {} } });
    server.registerTool('who', {}, async (extra) => {
      await server.sendLoggingMessage({ level: 'info', data: 'hello' }, extra.sessionId);
      const { action } = await server.server.elicitInput({
        message: 'you?',
        requestedSchema: { type: 'object', properties: {} },
      });
      return {
        content: [{ type: 'text', text: `${server.server.getClientVersion()?.name} ${action}` }],
      };
    });
    const { client, openSession, log } = await serve(server);
    const clients = await Promise.all(
      ['ann', 'bob'].map(async (name) => {
        const one = await openSession({
          capabilities: { elicitation: { form: {} } },
          clientInfo: { name, version: '1' },
        });
        return one;
      }),
    );
    await clients[0]?.call('logging/setLevel', { level: 'error' });
    const answers = await Promise.all(
      clients.map((one) => callAnswering(one, 'who', { action: 'decline' })),
    );
    expect(answers.map(textOf)).toEqual(['ann decline', 'bob decline']);
    const stream = await clients[1]!.get();
    const late = server.registerTool('late', {}, () => ({ content: [] }));
    await stream.nextMessage(({ method }) => method === 'notifications/tools/list_changed');
    late.remove();
    await expect(
      server.server.elicitInput({
        message: '',
        requestedSchema: { type: 'object', properties: {} },
      }),
    ).rejects.toMatchObject({ code: 'OUTSIDE_HANDLER' });
    expect((await callModern(client(), 'tools/list')).message.error).toMatchObject({
      code: -32022,
    });
    expect(log.matching(/cannot serve/)).toEqual([]);
  });

  test('is named in the log where the application lists a revision that it cannot serve', async () => {
    const { client, log } = await serve(new McpServerV1(info), {
      supportedProtocolVersions: ['2025-11-25', '2026-07-28'],
    });
    await client().initialize();
    expect(
      log.matching(/cannot serve 2026-07-28: its server is of SDK version 1/, 'warn'),
    ).toHaveLength(1);
  });
});
