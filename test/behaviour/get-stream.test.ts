/** The standalone GET stream: what comes on it, who reads it, how it ends. */
import type { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import { usePerSession } from '../kit/making-servers.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { tool } from '../kit/lab.ts';
import type { Log } from '../kit/log.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';

// These tests look at the server of each session.
usePerSession();

const VERSIONS = [['2025-06-18'], ['2025-11-25']];
const TOOLS_CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };

const logged = (data: unknown): object => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'error', data },
});

const messagesOf = (response: RawResponse): unknown[] =>
  response.events.flatMap(({ message }) => (message === undefined ? [] : [message]));

interface Ground {
  readonly client: RawClient;
  /** The session's server, held outside of any request. */
  readonly server: McpServer;
  readonly log: Log;
  /** Logs to the client from outside of any request. */
  say(data: unknown): Promise<void>;
}

async function session(
  face: Face,
  protocolVersion = '2025-11-25',
  tools: Record<string, Tool> = {},
  options: Parameters<typeof serve>[1] = {},
): Promise<Ground> {
  let server!: McpServer;
  const factory = toolServer({ none: () => said(''), ...tools }, (made) => (server = made));
  const served = await serve(factory, options, { face });
  const client = served.client();
  await client.initialize({ protocolVersion, capabilities: { roots: {}, elicitation: { form: {} } } });
  const say = (data: unknown): Promise<void> => server.server.sendLoggingMessage({ level: 'error', data });
  return { client, server, log: served.log, say };
}

describe.each(faces)('%s', (face) => {
  test('B35 the head of a GET is sent when it opens, before any message', async () => {
    const { client } = await session(face, '2025-06-18');
    const get = await client.get();
    expect(get.status).toBe(200);
    expect(get.headers('content-type')).toEqual(['text/event-stream']);
    expect(get.headers('mcp-session-id')).toEqual([client.sessionId]);
    expect(await get.next()).toEqual({ id: expect.any(String), retry: 4_000 });
    const primed = (await session(face, '2025-11-25')).client;
    expect(await (await primed.get()).next()).toEqual({ id: expect.any(String), retry: 4_000, data: '' });
  });

  test.each(VERSIONS)('B36 unsolicited notifications come as message events (%s)', async (version) => {
    const { client, server, say } = await session(face, version);
    const get = await client.get();
    await say('one');
    server.sendToolListChanged();
    await server.server.sendResourceUpdated({ uri: 'note://a' });
    const updated = { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'note://a' } };
    for (const message of [logged('one'), TOOLS_CHANGED, updated]) {
      expect(await get.next((event) => event.message !== undefined)).toMatchObject({ event: 'message', message });
    }
  });

  test('B36 what a handler sends goes to the stream of its POST, except what is about the session and names no request', async () => {
    const ground = await session(face, '2025-11-25', {
      talk: async (_args, ctx) => {
        const { server } = ground;
        await server.server.sendLoggingMessage({ level: 'error', data: 'by its server' });
        await ctx.mcpReq.log('error', 'by its context');
        await server.server.sendResourceUpdated({ uri: 'note://a' });
        await server.server.sendToolListChanged();
        await ctx.mcpReq.notify({ method: 'notifications/resources/updated', params: { uri: 'note://b' } });
        await ctx.mcpReq.notify({ method: 'notifications/tools/list_changed' });
        return said('talked');
      },
    });
    const get = await ground.client.get();
    const { response } = await ground.client.call(...tool('talk'));
    await response.untilEnd();
    const updated = (uri: string) => ({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } });
    expect(messagesOf(response)).toEqual([
      logged('by its server'),
      logged('by its context'),
      updated('note://b'),
      TOOLS_CHANGED,
      expect.objectContaining({ id: expect.any(Number) }),
    ]);
    await until(() => messagesOf(get).length === 2);
    expect(messagesOf(get)).toEqual([updated('note://a'), TOOLS_CHANGED]);
  });

  test.each(VERSIONS)(
    'B37 a second GET takes over; the first gets comments alone, and ends cleanly with the second (%s)',
    async (version) => {
      const { client, say } = await session(face, version);
      const first = await client.get();
      await say('one');
      expect(await first.nextMessage()).toEqual(logged('one'));
      const second = await client.get();
      await say('two');
      await second.next(({ data = '' }) => data.includes('two'));
      expect(first.ending).toBeUndefined();
      second.abort();
      await first.untilEnd();
      expect(first.ending).toBe('complete');
      expect(messagesOf(first)).toEqual([logged('one')]);
      expect(messagesOf(second).at(-1)).toEqual(logged('two'));
    },
  );

  test('B38 a notification when no GET was ever opened is dropped, and the log names its method', async () => {
    const { client, server, log, say } = await session(face);
    await say('lost');
    await server.server.sendResourceUpdated({ uri: 'note://a' });
    expect(log.lines.filter(({ message }) => message.startsWith('Dropped'))).toEqual([
      {
        level: 'debug',
        message: expect.any(String),
        fields: expect.objectContaining({ method: 'notifications/message' }),
      },
      {
        level: 'debug',
        message: expect.any(String),
        fields: expect.objectContaining({ method: 'notifications/resources/updated' }),
      },
    ]);
    const get = await client.get();
    await say('seen');
    expect(await get.nextMessage()).toEqual(logged('seen'));
  });

  test.each([['its client cut it'], ['the server closed it']])(
    'B38 once a GET was primed, what is sent while it is away is kept for its Last-Event-ID (%s)',
    async (how) => {
      const leave: Tool = (_args, ctx) => {
        ctx.http?.closeStandaloneSSE?.();
        return said('closed');
      };
      const { client, say } = await session(face, '2025-11-25', { leave });
      const get = await client.get();
      let { id } = await get.next();
      if (how === 'its client cut it') get.abort();
      else {
        await client.call(...tool('leave'));
        ({ id } = (await get.untilEnd()).at(-1) ?? {});
      }
      for (const data of ['one', 'two', 'three']) await say(data);
      const resumed = await client.get({ lastEventId: id });
      for (const data of ['one', 'two', 'three']) expect(await resumed.nextMessage()).toEqual(logged(data));
      await say('four');
      expect(await resumed.nextMessage()).toEqual(logged('four'));
    },
  );

  test('B38 it is kept within retention and no longer', async () => {
    const eventRetention = { events: 2, bytes: 1_000_000, ttlMs: 1_000_000 };
    const { client, say } = await session(face, '2025-11-25', {}, { eventRetention });
    const get = await client.get();
    const { id } = await get.next();
    get.abort();
    for (const data of ['one', 'two', 'three']) await say(data);
    const resumed = await client.get({ lastEventId: id });
    expect(resumed.status).toBe(200);
    await say('four');
    // Its client cannot know what it missed: every list may have changed.
    expect(await resumed.nextMessage()).toEqual(TOOLS_CHANGED);
    expect(await resumed.nextMessage()).toMatchObject({ method: 'notifications/resources/list_changed' });
    expect(await resumed.nextMessage()).toEqual(logged('four'));
  });

  test('B38 at 2025-06-18, too, what is sent while the GET is away is kept for its Last-Event-ID', async () => {
    const { client, say } = await session(face, '2025-06-18');
    const get = await client.get();
    const { id } = await get.next();
    get.abort();
    await say('kept');
    const next = await client.get({ lastEventId: id });
    expect(await next.nextMessage()).toEqual(logged('kept'));
  });

  test('a plain GET after the session had one begins with list_changed: its client may have missed something', async () => {
    const { client, say } = await session(face);
    const get = await client.get();
    await get.next();
    get.abort();
    await until(async () => {
      const next = await client.get();
      await say('seen');
      const first = await next.nextMessage();
      next.abort();
      return JSON.stringify(first) === JSON.stringify(TOOLS_CHANGED);
    });
  });

  test('two GETs of one client do not end each other in turn', async () => {
    const { client, say } = await session(face);
    const streams = [await client.get(), await client.get()];
    for (const stream of streams) await stream.next();
    await say('one');
    await streams[1]?.nextMessage();
    expect(streams.map(({ ending }) => ending)).toEqual([undefined, undefined]);
  });

  test('of many earlier GETs the oldest end', async () => {
    const { client } = await session(face);
    const streams = [];
    for (let n = 0; n < 5; n++) streams.push(await client.get());
    await streams[0]?.untilEnd();
    expect(streams.map(({ ending }) => ending)).toEqual(['complete', undefined, undefined, undefined, undefined]);
  });

  test('B39 a request to the client with no GET open waits for one; after retryMs and a second it is refused, later ones at once', async () => {
    const time = createFakeTime();
    const { client, server } = await session(face, '2025-11-25', {}, { timeProvider: time, retryMs: 2_000 });
    const outcomes: unknown[] = [];
    const ask = () =>
      server.server.listRoots().then(
        ({ roots }) => outcomes.push(roots),
        ({ code, message }) => outcomes.push([code, message]),
      );
    const first = ask();
    await time.advance(2_999);
    expect(outcomes).toEqual([]);
    await time.advance(1);
    await first;
    const refused = [
      'NO_STREAM',
      'roots/list cannot be sent: the client has no GET stream open and no request is running here. ' +
        'Send it from a handler, through its context (ctx.mcpReq.send, ctx.mcpReq.elicitInput), so that it takes the stream of that request',
    ];
    expect(outcomes).toEqual([refused]);
    await ask();
    expect(outcomes).toEqual([refused, refused]);

    const get = await client.get();
    void ask();
    expect(await get.nextMessage()).toMatchObject({ method: 'roots/list' });
  });

  test('B40 B210 a stray answer of the server is dropped with a warning, GET or no GET', async () => {
    const { client, server, log, say } = await session(face);
    const stray = { jsonrpc: '2.0', id: 'unknown', result: {} } as const;
    await server.server.transport?.send(stray);
    expect(log.matching(/answered a request that is not running/, 'warn')).toHaveLength(1);
    const get = await client.get();
    await server.server.transport?.send(stray);
    await say('seen');
    expect(await get.nextMessage()).toEqual(logged('seen'));
    expect(log.matching(/answered a request that is not running/, 'warn')).toHaveLength(2);
  });

  test('B41 a request to the client goes out on an open GET; a warning recommends the stream of a request', async () => {
    const { client, server, log } = await session(face);
    const get = await client.get();
    const roots = server.server.listRoots();
    const question = (await get.nextMessage()) as { id: string; method: string };
    expect(question.method).toBe('roots/list');
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        fields: { sessionId: hashOf(client.sessionId), method: 'roots/list' },
        message: expect.stringContaining('so that it takes the stream of its request'),
      },
    ]);
    const answer = { roots: [{ uri: 'file:///a' }] };
    expect((await client.post({ jsonrpc: '2.0', id: question.id, result: answer })).status).toBe(202);
    expect(await roots).toEqual(answer);
  });

  test('B42 a server handle captured in one request pushes notifications later through GET', async () => {
    const handles: McpServer[] = [];
    const ground = await session(face, '2025-11-25', {
      capture: () => {
        handles.push(ground.server);
        return said('captured');
      },
    });
    await ground.client.call(...tool('capture'));
    const get = await ground.client.get();
    await handles[0]?.server.sendLoggingMessage({ level: 'error', data: 'later' });
    expect(await get.nextMessage()).toEqual(logged('later'));
  });

  test('B43 a session with an open GET is not idle', async () => {
    const time = createFakeTime();
    const options = { timeProvider: time, idleTimeoutMs: 60_000 };
    const { client, log } = await session(face, '2025-11-25', {}, options);
    const get = await client.get();
    await time.advance(600_000);
    expect(get.ending).toBeUndefined();
    expect((await client.call('ping')).response.status).toBe(200);
    get.abort();
    await until(async () => {
      await time.advance(70_000);
      return log.matching(/^IdleTimeout/).length === 1;
    });
    expect((await client.call('ping')).response.status).toBe(404);
  });

  test.each(VERSIONS)('B45 closing the endpoint ends a GET at once and cleanly (%s)', async (protocolVersion) => {
    const time = createFakeTime();
    const { client, endpoint } = await serve(toolServer({}), { timeProvider: time }, { face });
    const raw = client();
    await raw.initialize({ protocolVersion });
    const get = await raw.get();
    await endpoint.close(); // no timer has to come due
    await get.untilEnd();
    expect(get.ending).toBe('complete');
    expect(time.pendingTimers).toBe(0);
  });
});
