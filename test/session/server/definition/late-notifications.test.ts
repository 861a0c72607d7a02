// @module-tag per-session
/**
 * Notifications that nothing awaits: a timer, a pool, a logger sends them when the handler has ended, or the session. A
 * rejection would end the process with all its sessions, and vitest fails a file in which one is unhandled.
 */
import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import { toolCall } from '../../../kit/lab.ts';
import {
  createMcpEndpoint,
  currentSession,
  type McpEndpointContext,
  type McpEndpointOptions,
} from '../../../../src/index.ts';
import { createFakeTime } from '../../../../src/testing/index.ts';
import type { RawClient } from '../../../kit/raw-client.ts';
import { createLog } from '../../../kit/log.ts';
import { callModern, postModern } from '../../../kit/modern.ts';
import { type Served, serve } from '../../../kit/serve.ts';
import { said } from '../../../kit/tool-server.ts';
import { until } from '../../../kit/until.ts';
import { gate } from '../../../kit/watched-store.ts';

const require = createRequire(import.meta.url);
const otherCopy = require('@modelcontextprotocol/server') as { McpServer: typeof McpServer };

const info = { name: 'late', version: '1.0.0' };
const LOGGING = { capabilities: { logging: {}, resources: { subscribe: true } } };
const LOG = { method: 'notifications/message', params: { level: 'error', data: 'late' } } as const;
const SHARED = /shared server while no handler.*currentSession\(\)\.server/;
const ENDED = /the session or request of its server has ended/;

/** A server of each copy of the SDK that serves sessions; those of version 2 serve 2026-07-28 too. */
const makers: Array<[string, (options?: object) => McpServer]> = [
  ['2', (options) => new McpServer(info, { ...options, ...LOGGING })],
  ['2 of another copy', (options) => new otherCopy.McpServer(info, { ...options, ...LOGGING })],
  ['1', () => new McpServerV1(info, LOGGING) as unknown as McpServer],
];
const modernMakers = makers.slice(0, 2);

/** What a handler of either version can send through its context. */
interface Context {
  readonly sendNotification?: (message: object) => Promise<void>;
  readonly sendRequest?: (message: object, schema: unknown) => Promise<unknown>;
  readonly mcpReq?: ServerContext['mcpReq'];
}

/** Each way to notify, and each way to ask. `held` is what a handler kept. */
const notifyAll = ({ server: { server }, context }: Held): Array<Promise<unknown> | undefined> => [
  server.notification(LOG),
  server.sendLoggingMessage(LOG.params),
  server.sendResourceUpdated({ uri: 'note://1' }),
  context.mcpReq?.notify(LOG),
  context.mcpReq?.log('error', 'late'),
  context.sendNotification?.(LOG),
];
const askAll = ({ server: { server }, context }: Held): Array<() => Promise<unknown>> => [
  async () => server.ping(),
  async () => server.listRoots(),
  async () =>
    context.mcpReq === undefined ? server.ping() : context.mcpReq.send({ method: 'ping' }),
];

interface Held {
  readonly server: McpServer;
  readonly context: Context;
}

/** A tool that keeps what its handler has. */
function keeping(server: McpServer, kept: Held[]): McpServer {
  server.registerTool('keep', {}, (ctx) => {
    kept.push({ server, context: ctx });
    return said('kept');
  });
  return server;
}

const keep = (client: RawClient): Promise<unknown> =>
  client.call('tools/call', { name: 'keep', arguments: {} });

const methodsOf = (lines: ReadonlyArray<{ readonly fields: Record<string, unknown> }>): unknown[] =>
  lines.map(({ fields }) => fields['method']);

/** Every notification resolves, with one warning per method; every question rejects. */
async function areDropped(held: Held, { log }: Served): Promise<void> {
  for (let n = 0; n < 2; n++) {
    for (const sent of notifyAll(held))
      await expect(sent ?? Promise.resolve()).resolves.toBeUndefined();
    for (const ask of askAll(held)) await expect(ask()).rejects.toThrow();
  }
  expect(methodsOf(log.matching(ENDED, 'warn'))).toEqual([
    'notifications/message',
    'notifications/resources/updated',
  ]);
}

describe.each(makers)('a shared server of SDK %s', (_, make) => {
  test('drops what a handler left behind, for its own client too, with one warning per method', async () => {
    const server = make();
    const released = gate();
    let isSent = false;
    server.registerTool('leave', {}, () => {
      const own = currentSession()?.server as McpServer;
      // As a timer or a pooled connection: it keeps the context of this request, and awaits nothing.
      void released.hook()?.then(async () => {
        for (let n = 0; n < 2; n++) {
          void server.sendLoggingMessage(LOG.params);
          void server.server.sendLoggingMessage(LOG.params, own.server.transport?.sessionId);
          void server.server.notification(LOG);
          void server.server.notification({ method: 'notifications/own' });
          void server.server.createElicitationCompletionNotifier('1')();
          void (async () => server.server.notification(LOG))();
        }
        await own.server.sendLoggingMessage({ level: 'error', data: 'own' });
        isSent = true;
      });
      return said('left');
    });
    const { client, log } = await serve(server);
    const [one, two] = [client(), client()];
    await one.initialize();
    await two.initialize();
    const [stream, other] = [await one.get(), await two.get()];
    await one.call('tools/call', { name: 'leave', arguments: {} });
    released.open();
    expect(await stream.nextMessage()).toMatchObject({ params: { data: 'own' } });
    await until(() => isSent);
    expect([stream.messages.length, other.messages.length]).toEqual([1, 0]);
    const warned = log.matching(SHARED, 'warn');
    expect(methodsOf(warned)).toEqual([
      'notifications/message',
      'notifications/own',
      'notifications/elicitation/complete',
    ]);
    await expect(server.server.listRoots()).rejects.toMatchObject({ code: 'OUTSIDE_HANDLER' });
    await expect(server.server.ping()).rejects.toMatchObject({ code: 'OUTSIDE_HANDLER' });
  });

  test('sends nothing of one session to another whose call fires its listener', async () => {
    const server = make();
    const jobs = new EventEmitter().setMaxListeners(0);
    server.registerTool('wait', {}, () => {
      const own = currentSession()?.server as McpServer;
      const id = currentSession()?.id;
      const data = String(own.server.getClientVersion()?.name);
      // A pooled connection binds its callbacks to the context of the request that made it.
      jobs.once(
        'done',
        AsyncResource.bind(
          () => void server.sendLoggingMessage({ level: 'error', data: `${data} bound` }),
        ),
      );
      jobs.once(
        'done',
        () => void server.sendLoggingMessage({ level: 'error', data: `${data} named` }, id),
      );
      jobs.once('done', () => void own.sendLoggingMessage({ level: 'error', data: `${data} own` }));
      return said('waits');
    });
    server.registerTool('finish', {}, async () => {
      await new Promise<void>((resolve) => void setImmediate(resolve));
      jobs.emit('done');
      return said('finished');
    });
    const { openSession } = await serve(server);
    const waiting = await Promise.all(
      Array.from({ length: 20 }, async (_none, n) => {
        const one = await openSession({ clientInfo: { name: `w${n}`, version: '1' } });
        const stream = await one.get();
        await one.call('tools/call', { name: 'wait', arguments: {} });
        return stream;
      }),
    );
    const finishing = await openSession();
    const [finished, streams] = [await finishing.get(), waiting];
    const answers = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const id = finishing.nextId();
        const answer = await finishing.post(toolCall(id, 'finish'));
        await answer.ended;
        return answer;
      }),
    );
    for (const [n, stream] of streams.entries()) {
      expect(await stream.nextMessage()).toMatchObject({ params: { data: `w${n} own` } });
      expect(stream.messages).toHaveLength(1);
    }
    expect(finished.messages).toEqual([]);
    for (const answer of answers)
      expect(answer.messages).toEqual([expect.objectContaining({ result: said('finished') })]);
  });

  test('drops notifications before an endpoint serves a client, and after it closed', async () => {
    const server = make();
    const endpoint = createMcpEndpoint(server, { logger: createLog() });
    await expect(server.server.notification(LOG)).resolves.toBeUndefined();
    await endpoint.close({ timeoutMs: 0 });
    await expect(server.sendLoggingMessage(LOG.params)).resolves.toBeUndefined();
    await expect(server.server.sendResourceUpdated({ uri: 'note://1' })).resolves.toBeUndefined();
  });

  test('drops what a handler sends on after its session has ended', async () => {
    const server = make();
    const released = gate();
    const outcomes: unknown[] = [];
    let isHeld = false;
    server.registerTool('hold', {}, async () => {
      isHeld = true;
      await released.hook();
      outcomes.push(await server.sendLoggingMessage(LOG.params).then(() => 'sent', String));
      outcomes.push(
        await server.server.listRoots().then(
          () => 'asked',
          () => 'refused',
        ),
      );
      return said('');
    });
    const { openSession, endpoint, log } = await serve(server);
    const one = await openSession();
    const called = one.call('tools/call', { name: 'hold', arguments: {} }).catch(() => {});
    await until(() => isHeld);
    await endpoint.sessions.end(String(one.sessionId));
    released.open();
    await until(() => outcomes.length === 2);
    await called;
    expect(outcomes).toEqual(['sent', 'refused']);
    expect(methodsOf(log.matching(ENDED, 'warn'))).toEqual(['notifications/message']);
  });
});

const ends: Array<
  [string, McpEndpointOptions, (served: Served, client: RawClient) => Promise<unknown>]
> = [
  ['has ended', {}, ({ endpoint }, { sessionId }) => endpoint.sessions.end(String(sessionId))],
  ['was ended by its client', {}, (_, client) => client.delete()],
  ['was released', {}, ({ endpoint }) => endpoint.drain()],
  ['has hibernated', { hibernateAfterMs: 1_000 }, async () => {}],
];

describe.each(makers)('a factory of SDK %s', (_, make) => {
  test.each(ends)(
    'its notifications are dropped when its session %s',
    async (_name, options, end) => {
      const kept: Held[] = [];
      const time = createFakeTime();
      const factory = ({ serverOptions }: McpEndpointContext): McpServer =>
        keeping(make(serverOptions), kept);
      const served = await serve(factory, { timeProvider: time, ...options });
      const one = await served.openSession();
      await keep(one);
      await end(served, one);
      if (options.hibernateAfterMs !== undefined) await time.advance(60_000);
      await until(() => served.endpoint.sessions.liveCount === 0);
      await until(() => kept[0]?.server.server.transport === undefined);
      await areDropped(kept[0] as Held, served);
    },
  );

  test('its notifications are dropped when onclose sends them', async () => {
    const sent: Array<Promise<void>> = [];
    const { openSession, endpoint } = await serve(() => {
      const server = make();
      server.server.onclose = () => void sent.push(server.server.notification(LOG));
      return server;
    });
    const one = await openSession();
    await endpoint.sessions.end(String(one.sessionId));
    await until(() => sent.length === 1);
    await expect(sent[0]).resolves.toBeUndefined();
  });

  test('its notifications are dropped when its request without a session was answered', async () => {
    const kept: Held[] = [];
    const served = await serve(() => keeping(make(), kept), { sessionMode: 'stateless' });
    await keep(served.client());
    // Before the server is closed, and after it.
    for (const sent of notifyAll(kept[0] as Held))
      await expect(sent ?? Promise.resolve()).resolves.toBeUndefined();
    await until(() => kept[0]?.server.server.transport === undefined);
    await areDropped(kept[0] as Held, served);
  });
});

describe.each(modernMakers)('2026-07-28 on SDK %s', (_, make) => {
  test.each([
    ['a factory', true],
    ['a factory that passes no options on', false],
  ])('drops what %s sends after the answer', async (_name, passes) => {
    const kept: Held[] = [];
    const served = await serve(({ serverOptions }) =>
      keeping(make(passes ? serverOptions : {}), kept),
    );
    await callModern(served.client(), 'tools/call', { name: 'keep', arguments: {} });
    const held = kept[0] as Held;
    for (const sent of notifyAll(held))
      await expect(sent ?? Promise.resolve()).resolves.toBeUndefined();
    await until(() => held.server.server.transport === undefined);
    await areDropped(held, served);
  });

  test('drops what a factory sends that made the server of a listener, which is never connected', async () => {
    const made: McpServer[] = [];
    const served = await serve(({ serverOptions }) => {
      const server = make(serverOptions);
      made.push(server);
      return server;
    });
    const listening = await postModern(served.client(), 'subscriptions/listen', {
      notifications: { resourceSubscriptions: ['note://1'] },
    });
    await listening.nextMessage();
    expect(made).toHaveLength(1);
    await expect(made[0]?.server.notification(LOG)).resolves.toBeUndefined();
    await expect((async () => made[0]?.server.ping())()).rejects.toThrow();
    expect(methodsOf(served.log.matching(ENDED, 'warn'))).toEqual(['notifications/message']);
  });

  test('drops what a shared server sends after the answer', async () => {
    const kept: Held[] = [];
    const server = keeping(make(), kept);
    const { client, log } = await serve(server);
    await callModern(client(), 'tools/call', { name: 'keep', arguments: {} });
    const { context } = kept[0] as Held;
    await until(() => kept.length === 1);
    for (let n = 0; n < 2; n++) {
      await expect(server.sendLoggingMessage(LOG.params)).resolves.toBeUndefined();
      await expect(context.mcpReq?.notify(LOG)).resolves.toBeUndefined();
    }
    await expect(server.server.listRoots()).rejects.toMatchObject({ code: 'OUTSIDE_HANDLER' });
    expect(methodsOf(log.matching(SHARED, 'warn'))).toEqual(['notifications/message']);
    expect(methodsOf(log.matching(ENDED, 'warn'))).toEqual(['notifications/message']);
  });
});

test('a server that makes up methods for late notifications fills no log', async () => {
  const server = new McpServer(info, LOGGING);
  const { log } = await serve(server);
  for (let n = 0; n < 1_000; n++) await server.server.notification({ method: `own/${n}` });
  expect(log.matching(SHARED).length).toBeLessThanOrEqual(100);
});
