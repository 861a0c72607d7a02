// @module-tag per-session
/** The standalone GET stream: what comes on it, who reads it, how it ends. */
import type { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { tool } from '../kit/lab.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';
import { perFace } from '../kit/sessions.ts';

const VERSIONS = [['2025-06-18'], ['2025-11-25']];
const TOOLS_CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };

const logged = (data: unknown): object => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'error', data },
});

/** What a client may be asked. */
const capabilities = { roots: {}, elicitation: { form: {} } };

describe.each(perFace)('$face', ({ session, inLab }) => {
  const at = (protocolVersion: string) => inLab({}, { protocolVersion, capabilities });

  test('B35 the head of a GET is sent when it opens, before any message', async () => {
    const { one } = await at('2025-06-18');
    const get = await one.get();
    expect(get.status).toBe(200);
    expect(get.headers('content-type')).toEqual(['text/event-stream']);
    expect(get.headers('mcp-session-id')).toEqual([one.sessionId]);
    expect(await get.next()).toEqual({ id: expect.any(String), retry: 4_000 });
    const { one: primed } = await at('2025-11-25');
    expect(await (await primed.get()).next()).toEqual({
      id: expect.any(String),
      retry: 4_000,
      data: '',
    });
  });

  test.each(VERSIONS)(
    'B36 B42 unsolicited notifications come as message events (%s)',
    async (version) => {
      const { one, server, say } = await at(version);
      const get = await one.get();
      await say('one');
      server.sendToolListChanged();
      await server.server.sendResourceUpdated({ uri: 'note://a' });
      const updated = {
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: 'note://a' },
      };
      for (const message of [logged('one'), TOOLS_CHANGED, updated]) {
        expect(await get.next((event) => event.message !== undefined)).toMatchObject({
          event: 'message',
          message,
        });
      }
    },
  );

  test('B36 what a handler sends goes to the stream of its POST, except what is about the session and names no request', async () => {
    let server!: McpServer;
    const tools: Record<string, Tool> = {
      talk: async (_args, ctx) => {
        await server.server.sendLoggingMessage({ level: 'error', data: 'by its server' });
        await ctx.mcpReq.log('error', 'by its context');
        await server.server.sendResourceUpdated({ uri: 'note://a' });
        await server.server.sendToolListChanged();
        await ctx.mcpReq.notify({
          method: 'notifications/resources/updated',
          params: { uri: 'note://b' },
        });
        await ctx.mcpReq.notify({ method: 'notifications/tools/list_changed' });
        return said('talked');
      },
    };
    const { one } = await session(toolServer(tools, (made) => (server = made)));
    const get = await one.get();
    const { response } = await one.call(...tool('talk'));
    await response.untilEnd();
    const updated = (uri: string) => ({
      jsonrpc: '2.0',
      method: 'notifications/resources/updated',
      params: { uri },
    });
    expect(response.messages).toEqual([
      logged('by its server'),
      logged('by its context'),
      updated('note://b'),
      TOOLS_CHANGED,
      expect.objectContaining({ id: expect.any(Number) }),
    ]);
    await until(() => get.messages.length === 2);
    expect(get.messages).toEqual([updated('note://a'), TOOLS_CHANGED]);
  });

  test.each(VERSIONS)(
    'B37 a second GET takes over; the first gets comments alone, and ends cleanly with the second (%s)',
    async (version) => {
      const { one, say } = await at(version);
      const first = await one.get();
      await say('one');
      expect(await first.nextMessage()).toEqual(logged('one'));
      const second = await one.get();
      await say('two');
      await second.next(({ data = '' }) => data.includes('two'));
      expect(first.ending).toBeUndefined();
      second.abort();
      await first.untilEnd();
      expect(first.ending).toBe('complete');
      expect(first.messages).toEqual([logged('one')]);
      expect(second.messages.at(-1)).toEqual(logged('two'));
    },
  );

  test('B38 a notification when no GET was ever opened is dropped, and the log names its method', async () => {
    const { one, server, log, say } = await inLab();
    await say('lost');
    await server.server.sendResourceUpdated({ uri: 'note://a' });
    const names = (method: string) => ({
      level: 'debug',
      message: expect.any(String),
      fields: expect.objectContaining({ method }),
    });
    const dropped = log.lines.filter(({ message }) => message.startsWith('Dropped'));
    expect(dropped).toEqual([
      names('notifications/message'),
      names('notifications/resources/updated'),
    ]);
    const get = await one.get();
    await say('seen');
    expect(await get.nextMessage()).toEqual(logged('seen'));
  });

  test('a plain GET after the session had one begins with list_changed: its client may have missed something', async () => {
    const { one, say } = await inLab();
    const get = await one.get();
    await get.next();
    get.abort();
    await until(async () => {
      const next = await one.get();
      await say('seen');
      const first = await next.nextMessage();
      next.abort();
      return JSON.stringify(first) === JSON.stringify(TOOLS_CHANGED);
    });
  });

  test('of many earlier GETs the oldest end', async () => {
    const { one } = await inLab();
    const streams = [];
    for (let n = 0; n < 5; n++) streams.push(await one.get());
    await streams[0]?.untilEnd();
    expect(streams.map(({ ending }) => ending)).toEqual([
      'complete',
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('an earlier GET whose client left does not count', async () => {
    const { one } = await inLab();
    const [left, oldest] = [await one.get(), await one.get()];
    left.abort();
    await until(async () => (await one.get(), oldest.ending === 'complete'));
  });

  test('B40 B210 a stray answer of the server is dropped with a warning, GET or no GET', async () => {
    const { one, server, log, say } = await inLab();
    const stray = { jsonrpc: '2.0', id: 'unknown', result: {} } as const;
    await server.server.transport?.send(stray);
    expect(log.matching(/answered a request that is not running/, 'warn')).toHaveLength(1);
    const get = await one.get();
    await server.server.transport?.send(stray);
    await say('seen');
    expect(await get.nextMessage()).toEqual(logged('seen'));
    expect(log.matching(/answered a request that is not running/, 'warn')).toHaveLength(2);
  });

  test('B17 B41 a request to the client goes out on an open GET; a warning recommends the stream of a request', async () => {
    const { one, server, log } = await at('2025-11-25');
    const get = await one.get();
    const roots = server.server.listRoots();
    const question = await get.nextMessage();
    expect(question.method).toBe('roots/list');
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        fields: { sessionId: hashOf(one.sessionId), method: 'roots/list' },
        message: expect.stringContaining('so that it takes the stream of its request'),
      },
    ]);
    const answer = { roots: [{ uri: 'file:///a' }] };
    const { status, body, rawHeaders } = await one.post({
      jsonrpc: '2.0',
      id: question.id,
      result: answer,
    });
    expect([status, body, rawHeaders.map(([name]) => name.toLowerCase())]).toEqual([
      202,
      '',
      expect.not.arrayContaining(['content-type']),
    ]);
    expect(await roots).toEqual(answer);
  });
});
