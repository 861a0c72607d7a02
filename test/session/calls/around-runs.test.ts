/** `middleware` where requests are relayed, run again, are answered from kept lists, or end without an answer. */
import {
  completable,
  McpServer,
  requireScopes,
  type ScopeChallengeHandler,
} from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  type Middleware,
  type AuthOptions,
  type McpEndpointContext,
  type McpEndpointOptions,
  SojournError,
} from '../../../src/index.ts';
import { serveFleet, serveMember, type Member } from '../../kit/fleet.ts';
import { createLab, say, textOf, tool, toolCall } from '../../kit/lab.ts';
import { callModern, MODERN, postModern } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { watchedStore } from '../../kit/watched-store.ts';
import { userToken } from '../../kit/issuer.ts';

/** Notes `method name attempt` of each run. */
function noting(story: string[]): Middleware {
  return ({ method, name, attempt }, next) => {
    story.push([method, name, attempt > 1 && attempt].filter(Boolean).join(' '));
    return next();
  };
}

const codeOf = (error: unknown): unknown => (error instanceof SojournError ? error.code : error);

/** Notes how each call of `hold` ends. */
function ending(ends: unknown[]): Middleware {
  return async (request, next) => {
    try {
      return await next();
    } catch (error) {
      ends.push(codeOf(error), codeOf(request.signal.reason));
      throw error;
    }
  };
}

describe('a request that is cut', () => {
  test('its client cancels it', async () => {
    const ends: unknown[] = [];
    const lab = createLab();
    const client = (await serve(lab.factory, { middleware: ending(ends) })).client();
    await client.initialize();
    const response = await client.post(toolCall('h', 'hold'));
    await lab.held();
    await client.notify('notifications/cancelled', { requestId: 'h' });
    await response.untilEnd();
    expect(ends).toEqual(['CALL_ABORTED', 'CALL_ABORTED']);
    expect(await say(client, 'echo', { text: 'x' })).toBe('x');
  });

  const cases: Array<[string, McpEndpointOptions, boolean]> = [
    ['stateless', { sessionMode: 'stateless' }, false],
    ['2026-07-28', { keepAliveMs: 20 }, true],
  ];
  test.each(cases)('its client disconnects (%s)', async (_name, options, isModern) => {
    const ends: unknown[] = [];
    const lab = createLab();
    const client = (await serve(lab.factory, { ...options, middleware: ending(ends) })).client();
    const params = tool('hold')[1];
    const response = isModern
      ? await postModern(client, 'tools/call', { ...params })
      : await client.post({ jsonrpc: '2.0', id: 'h', method: 'tools/call', params });
    await lab.held();
    response.abort();
    await until(() => ends.length > 0);
    expect(ends).toEqual(['CALL_ABORTED', 'CALL_ABORTED']);
  });
});

describe('two instances', () => {
  test('a restored session: its handshake is not wrapped again, and a call is at the owner, once', async () => {
    const stories: string[][] = [[], []];
    const store = watchedStore({ durable: true });
    const members = [];
    for (const story of stories)
      members.push(await serveMember({ store, middleware: noting(story) }));
    const [a, b] = members as [Member, Member];
    const client = await a.openSession();
    await b.join(client).call(...tool('echo', { text: 'relayed' }));
    expect(stories).toEqual([['initialize', 'tools/call echo'], []]);
    await a.endpoint.drain();
    await b.join(client).call(...tool('echo', { text: 'restored' }));
    expect(stories).toEqual([['initialize', 'tools/call echo'], ['tools/call echo']]);
  });

  test('a call of a dead owner runs again, with its attempt; the list for its hints is none of the client', async () => {
    const story: string[] = [];
    let hangs = true;
    const lab = createLab((server) => {
      server.registerTool('peek', { annotations: { readOnlyHint: true } }, async () =>
        hangs ? new Promise<never>(() => {}) : said('seen'),
      );
    });
    const store = watchedStore({ durable: true });
    const middleware = noting(story);
    // No renewal tells the owner that its lease is lost.
    const [a, b] = await serveFleet(2, { store, middleware, leaseMs: 60_000 }, [], [lab, lab]);
    const client = await a.openSession();
    await client.call('tools/list');
    const response = await b.join(client).post(toolCall('peek-1', 'peek'));
    await until(() => story.length === 3);
    hangs = false;
    await store.views[0]?.instances.leave(a.id);
    expect(await say(b.join(client), 'count')).toBe('1');
    await a.join(client).call(...tool('count'));
    await response.untilEnd();
    expect(textOf(response.events.flatMap(({ message }) => message ?? []).at(-1))).toBe('seen');
    expect(story.filter((run) => !run.includes('count'))).toEqual([
      'initialize',
      'tools/list',
      'tools/call peek',
      'tools/call peek 2',
    ]);
  });
});

describe.each(['2025-11-25', MODERN])('a changed request (%s)', (version) => {
  const isModern = version === MODERN;
  async function ask(options: McpEndpointOptions, method: string, params: Record<string, unknown>) {
    const factory = ({ serverOptions }: McpEndpointContext) => {
      const server = new McpServer({ name: 'guarded', version: '1' }, serverOptions);
      for (const name of ['open', 'secret'])
        server.registerPrompt(
          name,
          { argsSchema: z.object({ who: completable(z.string(), () => [`whom ${name} knows`]) }) },
          () => ({ messages: [] }),
        );
      const scopeChallenge: ScopeChallengeHandler = (context) =>
        JSON.stringify(context.request.params).includes('payroll')
          ? requireScopes('admin')(context)
          : undefined;
      server.registerTool(
        'read',
        { inputSchema: z.object({ file: z.string() }), scopeChallenge },
        ({ file }) => said(file),
      );
      return server;
    };
    const authorize: AuthOptions['authorize'] = (_kind, name) => name !== 'secret';
    const client = (
      await serve(factory, { auth: { verify: userToken, authorize }, ...options })
    ).client();
    const headers = { ...(options.auth === undefined && { authorization: 'Bearer t' }) };
    if (isModern) return callModern(client, method, params, { headers });
    const session = await client.call(
      'initialize',
      { protocolVersion: version, capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
      { headers },
    );
    const more = { ...headers, 'mcp-session-id': session.response.header('mcp-session-id') ?? '' };
    return client.call(method, params, { headers: more });
  }

  const argument = { name: 'who', value: '' };
  const complete = (name: string) => ({ ref: { type: 'ref/prompt', name }, argument });

  test('authorize is asked about another prompt of a completion', async () => {
    const [method, params] = ['completion/complete', complete('open')];
    expect((await ask({}, method, params)).message.result).toMatchObject({
      completion: { values: ['whom open knows'] },
    });
    const ways: Middleware[] = [
      (request, next) =>
        request.method === method ? next({ params: complete('secret') }) : next(),
      (request, next) => {
        if (request.method === method)
          (request.params as ReturnType<typeof complete>).ref.name = 'secret';
        return next();
      },
    ];
    for (const middleware of ways) {
      const { message } = await ask({ middleware }, method, complete('open'));
      expect(message.error?.message).toBe('Prompt secret not found');
    }
  });

  test('the scopes are asked about other arguments', async () => {
    const middleware: Middleware = (request, next) =>
      request.name === 'read'
        ? next({ params: { name: 'read', arguments: { file: 'payroll' } } })
        : next();
    const params = { name: 'read', arguments: { file: 'notes' } };
    expect(textOf((await ask({}, 'tools/call', params)).message)).toBe('notes');
    for (const caller of [{}, { auth: { verify: userToken, anonymous: true } }]) {
      const { message } = await ask({ middleware, ...caller }, 'tools/call', params);
      expect([message.error?.code, message.result]).toEqual([-32_000, undefined]);
    }
  });
});
