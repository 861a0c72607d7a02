/**
 * `sendResourceUpdated` of a server that serves all sessions. The session whose handler calls it need not have
 * subscribed, so it reaches the subscribers of the URI, on every instance and in both eras.
 */
import { InMemoryServerEventBus, McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, test } from 'vitest';
import { currentSession, type McpEndpointOptions } from '../../../../src/index.ts';
import { memory } from '../../../../src/stores/memory/index.ts';
import type { RawClient } from '../../../kit/raw-client.ts';
import type { RawResponse } from '../../../kit/raw-response.ts';
import { postModern } from '../../../kit/modern.ts';
import { type Served, serve } from '../../../kit/serve.ts';
import { said } from '../../../kit/tool-server.ts';
import { until } from '../../../kit/until.ts';

const info = { name: 'notes', version: '1.0.0' };
const RESOURCES = { capabilities: { resources: { subscribe: true, listChanged: true } } };
const UPDATED = 'notifications/resources/updated';
const CHANGED = 'notifications/resources/list_changed';

function ofVersion2(): McpServer {
  const server = new McpServer(info, RESOURCES);
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  return server;
}

function ofVersion1(): McpServer {
  const server = new McpServerV1(info, RESOURCES);
  server.server.setRequestHandler(SubscribeRequestSchema, () => ({}));
  server.server.setRequestHandler(UnsubscribeRequestSchema, () => ({}));
  return server as unknown as McpServer;
}

const ownServer = (): McpServer => currentSession()?.server as McpServer;

/** The ways in which code announces a resource. */
const WAYS = {
  send: (server: McpServer) => void server.server.sendResourceUpdated({ uri: 'note://a' }),
  notify: (server: McpServer) =>
    void server.server.notification({ method: UPDATED, params: { uri: 'note://a' } }),
  later: (server: McpServer) =>
    void setImmediate(() => void server.server.sendResourceUpdated({ uri: 'note://a' })),
  timer: (server: McpServer) =>
    void setTimeout(
      () => void server.server.notification({ method: UPDATED, params: { uri: 'note://a' } }),
      1,
    ),
  own: () => void ownServer().server.sendResourceUpdated({ uri: 'note://a' }),
} as const;
type Way = keyof typeof WAYS;
const SHARED_WAYS = ['send', 'notify', 'later', 'timer'] as const;

interface Reading {
  readonly client: RawClient;
  readonly stream: RawResponse;
}

async function reading({ client }: Served, ...uris: string[]): Promise<Reading> {
  const one = client();
  await one.initialize();
  for (const uri of uris) await one.call('resources/subscribe', { uri });
  return { client: one, stream: await one.get() };
}

async function listening({ client }: Served, uri: string): Promise<RawResponse> {
  const notifications = { resourceSubscriptions: [uri], resourcesListChanged: true };
  const stream = await postModern(client(), 'subscriptions/listen', { notifications });
  await stream.nextMessage(); // the acknowledgement
  return stream;
}

const seen = (stream: RawResponse): unknown[] =>
  stream.messages.flatMap(({ method, params }) => (method === UPDATED ? [params?.['uri']] : []));

/** What came before everything that was sent by now. Lists are announced by each instance to its own clients. */
async function settled(
  streams: readonly RawResponse[],
  ...members: readonly Served[]
): Promise<unknown[][]> {
  const had = streams.map((stream) => countOf(stream));
  members[0]?.endpoint.notify.resourcesChanged();
  await until(() => streams.every((stream, n) => countOf(stream) > (had[n] ?? 0)));
  return streams.map(seen);
}
const countOf = (stream: RawResponse): number =>
  stream.messages.filter(({ method }) => method === CHANGED).length;

const makers = [
  ['2', ofVersion2],
  ['1', ofVersion1],
] as const;

describe.each(makers)('a shared server of SDK %s', (version, make) => {
  async function member(
    options: McpEndpointOptions = {},
  ): Promise<Served & { readonly server: McpServer }> {
    const server = make();
    for (const [name, announce] of Object.entries(WAYS))
      server.registerTool(name, {}, () => {
        announce(server);
        return said(name);
      });
    return { ...(await serve(server, options)), server };
  }
  /** Returns what came in the answer beside the result. */
  async function announce({ client }: Reading, way: Way): Promise<unknown[]> {
    const message = {
      jsonrpc: '2.0',
      id: client.nextId(),
      method: 'tools/call',
      params: { name: way, arguments: {} },
    };
    const answer = await client.post(message);
    await answer.ended;
    return seen(answer);
  }

  test.each(SHARED_WAYS)(
    'reaches who subscribed, once and on every instance, and not its caller: %s',
    async (way) => {
      const store = memory();
      const [here, there] = [await member({ store }), await member({ store })];
      const caller = await reading(here);
      const other = await reading(here, 'note://b');
      const subscribers = [
        await reading(here, 'note://a'),
        await reading(there, 'note://b', 'note://a'),
      ];
      const left = await reading(there, 'note://a');
      await left.client.call('resources/unsubscribe', { uri: 'note://a' });
      const listeners =
        version === '2'
          ? [await listening(here, 'note://a'), await listening(there, 'note://a')]
          : [];
      const reached = [...subscribers.map(({ stream }) => stream), ...listeners];
      const unreached = [caller, other, left].map(({ stream }) => stream);
      expect(await announce(caller, way)).toEqual([]);
      await until(() => reached.every((stream) => seen(stream).length > 0));
      const all = await settled([...reached, ...unreached], here, there);
      expect(all).toEqual([...reached.map(() => ['note://a']), [], [], []]);
    },
  );

  test('reaches its caller once if that has subscribed, on its GET stream', async () => {
    const served = await member();
    const caller = await reading(served, 'note://a');
    expect(await announce(caller, 'send')).toEqual([]);
    await until(() => seen(caller.stream).length > 0);
    expect(await settled([caller.stream], served)).toEqual([['note://a']]);
  });

  test('sends nothing where nothing is subscribed, with and without a session', async () => {
    const served = await member();
    const streams = [await reading(served), await reading(served, 'note://b')];
    for (const way of SHARED_WAYS) expect(await announce(streams[0] as Reading, way)).toEqual([]);
    await served.server.server.sendResourceUpdated({ uri: 'note://a' });
    await served.server.server.notification({ method: UPDATED, params: undefined });
    await served.server.server.sendResourceUpdated(undefined as never);
    expect(
      await settled(
        streams.map(({ stream }) => stream),
        served,
      ),
    ).toEqual([[], []]);
    expect(served.log.matching(/dropped/i, 'warn')).toEqual([]);
  });

  test('reaches its own session alone through currentSession().server', async () => {
    const served = await member();
    const [caller, subscriber] = [await reading(served), await reading(served, 'note://a')];
    await announce(caller, 'own');
    await until(() => seen(caller.stream).length > 0);
    expect(await settled([caller.stream, subscriber.stream], served)).toEqual([['note://a'], []]);
  });

  test('carries its other params, and reaches the bus of the application', async () => {
    const bus = new InMemoryServerEventBus();
    const events: unknown[] = [];
    bus.subscribe((event) => events.push(event));
    const served = await member({ bus });
    const subscriber = await reading(served, 'note://a');
    await served.server.server.notification({
      method: UPDATED,
      params: { uri: 'note://a', _meta: { own: 1 } },
    });
    expect(await subscriber.stream.nextMessage()).toMatchObject({
      params: { uri: 'note://a', _meta: { own: 1 } },
    });
    expect(events).toEqual([
      { kind: 'resource_updated', uri: 'note://a', params: { _meta: { own: 1 } } },
    ]);
  });

  test('is announced on other instances, and changed lists are not', async () => {
    const store = memory();
    const [here, there] = [await member({ store }), await member({ store })];
    const [near, far] = [await reading(here, 'note://a'), await reading(there, 'note://a')];
    await here.server.server.sendResourceListChanged();
    await here.server.server.sendResourceUpdated({ uri: 'note://a' });
    expect(await near.stream.nextMessage()).toMatchObject({ method: UPDATED });
    expect(await near.stream.nextMessage()).toMatchObject({ method: CHANGED });
    expect(await far.stream.nextMessage()).toMatchObject({ method: UPDATED });
    expect(countOf(far.stream)).toBe(0);
  });
});
