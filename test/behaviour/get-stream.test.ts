/** The standalone GET stream: what comes on it, who reads it, how it ends. */
import type { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
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

  test.each(VERSIONS)('B36 B42 unsolicited notifications come as message events (%s)', async (version) => {
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

  test('of many earlier GETs the oldest end', async () => {
    const { client } = await session(face);
    const streams = [];
    for (let n = 0; n < 5; n++) streams.push(await client.get());
    await streams[0]?.untilEnd();
    expect(streams.map(({ ending }) => ending)).toEqual(['complete', undefined, undefined, undefined, undefined]);
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
});
