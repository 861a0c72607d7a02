/**
 * What code of the application does with the server that it built: messages for a named session, callbacks, methods
 * that it replaced, what it keeps on it. None of it may reach another session, or be silently left out.
 */
import { InMemoryTransport } from '@modelcontextprotocol/client';
import { McpServer, Server } from '@modelcontextprotocol/server';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import { say, textOf, toolCall } from '../../../kit/lab.ts';
import {
  type ConnectableServer,
  createMcpEndpoint,
  currentSession,
} from '../../../../src/index.ts';
import type { RawClient } from '../../../kit/raw-client.ts';
import { callModern } from '../../../kit/modern.ts';
import { serve } from '../../../kit/serve.ts';
import { said } from '../../../kit/tool-server.ts';
import { until } from '../../../kit/until.ts';

const info = { name: 'one', version: '1.0.0' };
const LOGGING = { capabilities: { logging: {} } };
const definition = (): McpServer => new McpServer(info, LOGGING);

async function joined(client: RawClient, name: string): Promise<RawClient> {
  await client.initialize({ clientInfo: { name, version: '1' } });
  return client;
}

describe.each([
  ['2', (): McpServer => definition(), Server],
  ['1', (): McpServerV1 => new McpServerV1(info, LOGGING), ServerV1],
] as const)('a shared server of version %s', (_, make, Class) => {
  test('sends no message that names a session to another session', async () => {
    const server = make() as McpServer;
    const ids: string[] = [];
    server.registerTool('tell', {}, async () => {
      const outcomes = ids.map((id) =>
        server.sendLoggingMessage({ level: 'error', data: id }, id).then(
          () => 'resolved',
          (error: unknown) => Reflect.get(error as object, 'code') as string,
        ),
      );
      return said((await Promise.all(outcomes)).join());
    });
    const { client, log } = await serve(server);
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    const other = await two.get();
    ids.push(String(one.sessionId), String(two.sessionId));
    const answer = await one.post(toolCall(9, 'tell'));
    await answer.ended;
    expect(answer.messages).toMatchObject([
      { method: 'notifications/message', params: { data: one.sessionId } },
      { result: { content: [{ text: 'resolved,resolved' }] } },
    ]);
    expect(log.matching(/currentSession\(\)\.server/, 'warn')).toMatchObject([
      { fields: { method: 'notifications/message' } },
    ]);
    await two.call('ping');
    expect(other.messages).toEqual([]);
  });

  test('keeps onclose and onerror that a handler sets for its session alone', async () => {
    const server = make() as McpServer;
    const closed: Array<string | undefined> = [];
    server.server.onclose = () => closed.push('all');
    server.registerTool('watch', {}, () => {
      const name = server.server.getClientVersion()?.name;
      server.server.onclose = () => closed.push(name);
      return said(typeof server.server.onclose);
    });
    const { client, endpoint } = await serve(server, { sessionMode: 'stateful' });
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    expect(await say(one, 'watch')).toBe('function');
    const three = await joined(client(), 'cat');
    for (const leaving of [two, three]) await endpoint.sessions.end(String(leaving.sessionId));
    expect(closed).toEqual(['all', 'all']);
    await endpoint.sessions.end(String(one.sessionId));
    expect(closed).toEqual(['all', 'all', 'ann']);
  });

  test('runs notification handlers that are set while sessions live', async () => {
    const server = make() as McpServer;
    const seen: unknown[] = [];
    const { client } = await serve(server);
    const one = await joined(client(), 'ann');
    server.server.fallbackNotificationHandler = ({ method }) => {
      seen.push([method, server.server.getClientVersion()?.name, currentSession()?.id]);
      return Promise.resolve();
    };
    await one.notify('own/event');
    await until(() => seen.length === 1);
    expect(seen).toEqual([['own/event', 'ann', one.sessionId]]);
  });

  // The SDK itself answers no such request.
  test('answers a request whose handler throws nothing, or what cannot be read', async () => {
    const server = make() as McpServer;
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const thrown: Record<string, unknown> = { 'own/null': null, 'own/unreadable': proxy };
    server.server.fallbackRequestHandler = ({ method }) => Promise.reject(thrown[method]);
    const { client } = await serve(server, { limits: { requestsPerSession: 1 } });
    const one = await joined(client({ timeoutMs: 3_000 }), 'ann');
    expect((await one.call('own/null')).message.error).toMatchObject({
      code: -32603,
      message: /threw null/,
    });
    expect((await one.call('own/unreadable')).message.error).toMatchObject({
      message: /cannot be read/,
    });
    expect((await one.call('own/undefined')).message.error).toMatchObject({
      message: /threw undefined/,
    });
  });

  test('connects sessions through a bound connect and close that a tracing tool set', async () => {
    const server = make() as McpServer;
    const seen: string[] = [];
    const connect = server.connect.bind(server);
    const close = server.close.bind(server);
    server.connect = async (transport) => {
      seen.push('connect');
      await connect(transport);
    };
    server.close = async () => {
      seen.push('close');
      await close();
    };
    server.registerTool('who', {}, () => said(server.server.getClientVersion()?.name));
    const { client, endpoint, log } = await serve(server);
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    expect([await say(one, 'who'), await say(two, 'who')]).toEqual(['ann', 'bob']);
    await endpoint.sessions.end(String(one.sessionId));
    expect(seen).toEqual(['connect', 'connect', 'close']);
    expect(await say(two, 'who')).toBe('bob');
    const [transport] = InMemoryTransport.createLinkedPair();
    await expect(server.connect(transport)).rejects.toMatchObject({ code: 'DEFINITION_REFUSED' });
    expect(log.matching(/could not be closed/)).toHaveLength(0);
  });

  test('is refused when a method was replaced that the servers of its sessions would lack', () => {
    const server = make() as McpServer;
    const notification = server.server.notification.bind(server.server);
    server.server.notification = (message) => notification({ ...message, params: {} });
    expect(() => createMcpEndpoint(server)).toThrow(
      /its method notification\(\) was replaced.*pass a factory/,
    );
  });

  test.each(['_requestHandlers', '_notificationHandlers'])(
    'is refused where a version of the SDK keeps its handlers elsewhere: without %s',
    (member) => {
      const server = make() as McpServer;
      Reflect.deleteProperty(server.server, member);
      expect(() => createMcpEndpoint(server)).toThrow(
        new RegExp(
          `keeps what its servers are made of elsewhere \\(it has no ${member}\\); pass a factory, a function`,
        ),
      );
    },
  );

  test('announces its tools when an earlier endpoint served its low-level server alone', async () => {
    const server = make() as McpServer;
    server.registerTool('first', {}, () => said(''));
    await createMcpEndpoint(server.server as unknown as ConnectableServer).close();
    const { client } = await serve(server);
    const stream = await (await joined(client(), 'ann')).get();
    server.registerTool('second', {}, () => said(''));
    await stream.nextMessage(({ method }) => method === 'notifications/tools/list_changed');
  });

  test('has what the application keeps on it, and what a handler sets there stays in its session', async () => {
    const server = make() as McpServer;
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
    await say(one, 'set');
    expect(await say(one, 'get')).toBe('hello ann, ann');
    expect(await say(two, 'get')).toBe('hello, undefined');
    expect([kept.greeting, kept.mood]).toEqual(['hello', undefined]);
    kept.greeting = 'good day';
    expect(await say(two, 'get')).toBe('good day, undefined');
  });

  test('stays an instance of its class, and keeps nothing of a client', async () => {
    const server = make() as McpServer;
    server.registerTool('who', {}, () => said(String(server.server.getClientVersion()?.name)));
    const { client } = await serve(server);
    expect(await say(await joined(client(), 'ann'), 'who')).toBe('ann');
    expect(server.server).toBeInstanceOf(Class);
    expect([server.server.getClientVersion(), server.server.transport]).toEqual([
      undefined,
      undefined,
    ]);
    expect(Reflect.ownKeys(server.server)).toEqual([]);
  });

  test('that was connected before tells no session who its earlier client was', async () => {
    const server = make() as McpServer;
    const transport = {
      start: async () => {},
      send: async () => {},
      close: async () => {},
      onclose: () => {},
    };
    await server.connect(transport);
    Reflect.set(server.server, '_clientVersion', { name: 'earlier', version: '1' });
    transport.onclose();
    const seen: unknown[] = [];
    server.server.oninitialized = () => seen.push(server.server.getClientVersion()?.name);
    server.registerTool('who', {}, () => said(String(server.server.getClientVersion()?.name)));
    const { client } = await serve(server);
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    expect([await say(one, 'who'), await say(two, 'who')]).toEqual(['ann', 'bob']);
    expect(seen.toSorted()).toEqual(['ann', 'bob']);
  });

  test.each<(one: object) => object>([Object.freeze, Object.seal, Object.preventExtensions])(
    'is refused after %o',
    (close) => {
      for (const memberOf of [(one: McpServer) => one, (one: McpServer) => one.server]) {
        const server = make() as McpServer;
        close(memberOf(server));
        expect(() => createMcpEndpoint(server)).toThrow(
          /it is frozen or sealed, .* pass a factory/,
        );
      }
    },
  );
});

test('a request of 2026-07-28 goes through a bound connect', async () => {
  const server = definition();
  const connect = server.connect.bind(server);
  server.connect = async (transport) => connect(transport);
  server.registerTool('who', {}, () => said(server.server.getClientVersion()?.name));
  const { client } = await serve(server);
  const { message } = await callModern(client(), 'tools/call', { name: 'who' });
  expect(message.result).toMatchObject({ content: [{ text: 'modern-client' }] });
});

test('the server of one session of SDK 1 registers no tool with tasks', async () => {
  const server = new McpServerV1(info, LOGGING);
  Reflect.get(server, 'experimental');
  server.registerTool('sneak', {}, () => {
    const own = currentSession()?.server as McpServerV1;
    return { content: [{ type: 'text', text: String(own.experimental.tasks) }] };
  });
  const { client } = await serve(server);
  expect(await say(await joined(client(), 'ann'), 'sneak')).toMatch(
    /Register on the definition itself/,
  );
});

test('sessions of SDK 1 create no validator before a form is answered', async () => {
  const server = new McpServerV1(info, LOGGING);
  let made = 0;
  const own: unknown = Reflect.get(server.server, '_jsonSchemaValidator');
  class Counting extends ((own as object).constructor as new () => object) {
    constructor() {
      super();
      made += 1;
    }
  }
  Reflect.set(server.server, '_jsonSchemaValidator', new Counting());
  made = 0;
  const SCHEMA = { type: 'object' as const, properties: { n: { type: 'number' as const } } };
  server.registerTool('ask', {}, async () => {
    const outcome = await server.server
      .elicitInput({ message: '', requestedSchema: SCHEMA })
      .catch(String);
    return { content: [{ type: 'text', text: String(outcome) }] };
  });
  const { client, openSession } = await serve(server);
  const one = await openSession({ capabilities: { elicitation: { form: {} } } });
  await joined(client(), 'bob');
  expect(made).toBe(0);
  const response = await one.post(toolCall(8, 'ask'));
  const asked = await response.nextMessage(({ method }) => method === 'elicitation/create');
  const answer = { action: 'accept', content: { n: 'no number' } };
  await one.post({ jsonrpc: '2.0', id: asked.id, result: answer });
  const answered = await response.nextMessage(({ id }) => id === 8);
  expect(textOf(answered)).toMatch(/does not match requested schema/);
  expect(made).toBe(1);
});
