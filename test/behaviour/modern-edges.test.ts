/**
 * 2026-07-28 at its edges: errors that say what is needed, headers of sessions, spelling, subscriptions, sealed state.
 */
import { SUBSCRIPTION_ID_META_KEY } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import type { Message } from '../kit/sse-parser.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { faces, serve, userHeader } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';

const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'];

const subscriptionOf = (message: unknown): unknown => {
  const { params, result } = message as Message;
  return (params ?? result)?.['_meta']?.[SUBSCRIPTION_ID_META_KEY];
};

const methods = (response: RawResponse): unknown[] =>
  response.messages.map(({ method }) => method ?? 'result');

describe.each(perFace)('over $face', ({ serve }) => {
  test.each([
    ['hybrid', '2030-01-01', ['2026-07-28'], ['2026-07-28', ...LEGACY]],
    ['stateless', 'junk', ['2026-07-28'], ['2026-07-28', ...LEGACY]],
    ['stateful', '2030-01-01', LEGACY, LEGACY],
  ] as const)(
    'B147 B219 in %s mode the version %s gets what was asked for and what there is, for a client with an envelope and for others',
    async (sessionMode, requested, forModern, forOthers) => {
      const { client } = await serve(createLab().factory, { sessionMode });
      const error = (supported: readonly string[]) => ({
        code: -32022,
        message: `Unsupported protocol version "${requested}"; this endpoint serves ${supported.join(', ')}`,
        data: { supported, requested },
      });
      const version = { 'mcp-protocol-version': requested };
      const meta = { 'io.modelcontextprotocol/protocolVersion': requested };
      const modern = await callModern(client(), 'tools/list', {}, { meta, headers: version });
      expect([modern.response.status, modern.message]).toEqual([
        400,
        { jsonrpc: '2.0', id: modern.id, error: error(forModern) },
      ]);
      const other = await client().call('tools/list', {}, { headers: version });
      expect([other.response.status, other.message]).toEqual([
        400,
        { jsonrpc: '2.0', id: other.id, error: error(forOthers) },
      ]);
    },
  );

  test('B221 two subscriptions get each their own, and what the server does not announce is not acknowledged', async () => {
    const { client, endpoint } = await serve(createLab().factory);
    const one = client();
    const tools = await postModern(one, 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
    const more = await postModern(one, 'subscriptions/listen', {
      notifications: { resourcesListChanged: true, promptsListChanged: true },
    });
    const first = await more.nextMessage();
    expect(first).toMatchObject({ params: { notifications: { resourcesListChanged: true } } });
    expect([await tools.nextMessage(), first].map(subscriptionOf)).toEqual([1, 2]);
    endpoint.notify.toolsChanged();
    endpoint.notify.promptsChanged();
    endpoint.notify.resourcesChanged();
    expect(subscriptionOf(await tools.nextMessage())).toBe(1);
    expect(subscriptionOf(await more.nextMessage())).toBe(2);
    expect([methods(tools), methods(more)]).toEqual([
      ['notifications/subscriptions/acknowledged', 'notifications/tools/list_changed'],
      ['notifications/subscriptions/acknowledged', 'notifications/resources/list_changed'],
    ]);
  });
});

describe('B222 request state', () => {
  /** `open` seals what it is given, and says what was sealed when it comes back; `other` and the prompt only say it. */
  const sealer = (ctx: McpEndpointContext) => {
    const server = toolServer({
      open: async (args, call) => {
        const state = call.mcpReq.requestState();
        const text =
          state === undefined
            ? await ctx.requestState.mint(args['payload'], call)
            : JSON.stringify(state);
        return { content: [{ type: 'text', text }] };
      },
      other: (_args, call) => ({
        content: [{ type: 'text', text: JSON.stringify(call.mcpReq.requestState()) ?? 'nothing' }],
      }),
    })({ ...ctx, serverOptions: { requestState: { verify: ctx.requestState.verify } } });
    const message = (text: string) => ({
      messages: [{ role: 'user' as const, content: { type: 'text' as const, text } }],
    });
    server.registerPrompt('open', { argsSchema: z.object({}) }, (_args, call) =>
      message(JSON.stringify(call.mcpReq.requestState()) ?? 'nothing'),
    );
    for (const uri of ['state://one', 'state://other'])
      server.registerResource(uri, uri, {}, async (_uri, call) => {
        const state = call.mcpReq.requestState();
        return {
          contents: [
            { uri, text: state === undefined ? await ctx.requestState.mint(1, call) : 'opened' },
          ],
        };
      });
    return server;
  };
  const keys = ['k'.repeat(32)];

  const open = async (secrets: readonly string[] = keys, options: McpEndpointOptions = {}) => {
    const served = await serve(sealer, { secrets, ...options }, { face: 'node', auth: userHeader });
    const as = (user: string) => served.client({ headers: { 'x-user': user } });
    const mint = async (user: string) =>
      textOf(
        (
          await callModern(as(user), 'tools/call', {
            name: 'open',
            arguments: { payload: { step: 2 } },
          })
        ).message,
      );
    const tell = async (
      user: string,
      requestState: unknown,
      method = 'tools/call',
      name = 'open',
    ) => (await callModern(as(user), method, { name, arguments: {}, requestState })).message;
    return { mint, tell, as };
  };

  const refused = {
    error: {
      code: -32602,
      message: 'Invalid or expired requestState',
      data: { reason: 'invalid_request_state' },
    },
  };

  test('comes back as it was sealed, and shows nothing: two of one payload differ', async () => {
    const { mint, tell } = await open();
    const states = [await mint('alice'), await mint('alice')];
    expect(states[0]).not.toBe(states[1]);
    for (const state of states) {
      const bytes = Buffer.from(String(state).slice(3), 'base64url');
      for (const part of ['step', '"p"', 'alice', 'open']) expect(bytes.includes(part)).toBe(false);
      expect(textOf(await tell('alice', state))).toBe('{"step":2}');
    }
  });

  test.each([keys, ['store']])(
    'after %j another secret seals, and both open',
    async (...before) => {
      const other = 'o'.repeat(32);
      const store = memory();
      const on = (...secrets: string[]) => open(secrets, { store });
      const [old, rotated, fresh] = [
        await on(...before),
        await on(other, ...before),
        await on(other),
      ];
      const [first, second] = [await old.mint('alice'), await rotated.mint('alice')];
      expect(textOf(await rotated.tell('alice', first))).toBe('{"step":2}');
      expect(textOf(await fresh.tell('alice', second))).toBe('{"step":2}');
      expect(await fresh.tell('alice', first)).toMatchObject(refused);
    },
  );

  test('opens any number of times within 600 s, and not later', async () => {
    const time = createFakeTime(Date.UTC(2026, 10, 1));
    const { mint, tell } = await open(keys, { timeProvider: time });
    const state = await mint('alice');
    for (const ms of [0, 0, 600_000]) {
      await time.advance(ms);
      expect(textOf(await tell('alice', state))).toBe('{"step":2}');
    }
    await time.advance(1_000);
    expect(await tell('alice', state)).toMatchObject(refused);
  });

  test('in another spelling is refused', async () => {
    const { mint, tell } = await open();
    const state = String(await mint('alice'));
    const others = [
      `${state}=`,
      `${state} `,
      state.replace('.', '..'),
      state.toUpperCase(),
      state.slice(0, 20),
    ];
    for (const spelled of [...others, state.replace('s1', 's2')])
      expect(await tell('alice', spelled)).toMatchObject(refused);
  });

  test.each([
    ['user', ['bob']],
    ['tool', ['alice', 'tools/call', 'other']],
    ['method', ['alice', 'prompts/get']],
  ] as const)('of another %s is refused', async (_, [user, method, name]) => {
    const { mint, tell } = await open();
    expect(await tell(user, await mint('alice'), method, name)).toMatchObject(refused);
  });

  test('of another resource is refused, whatever its client adds to both requests', async () => {
    const client = (await open()).as('alice');
    const read = async (uri: string, requestState?: unknown) =>
      (await callModern(client, 'resources/read', { uri, name: 'same', requestState })).message;
    const { result } = await read('state://one');
    const { contents } = result as { contents: [{ text: string }] };
    const [{ text }] = contents;
    expect(await read('state://one', text)).toMatchObject({
      result: { contents: [{ text: 'opened' }] },
    });
    expect(await read('state://other', text)).toMatchObject(refused);
  });
});

test.each(['listen', ...faces] as const)(
  'B221 when the endpoint closes, a result ends the stream, over %s',
  async (face) => {
    const { client, endpoint } = await serve(createLab().factory, {}, { face });
    const stream = await postModern(client(), 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
    await stream.nextMessage();
    await endpoint.close({ timeoutMs: 0 });
    await stream.untilEnd();
    expect(stream.ending).toBe('complete');
    const last = stream.events.findLast(({ message }) => message !== undefined)?.message;
    expect(last).toMatchObject({ jsonrpc: '2.0', id: 1, result: { resultType: 'complete' } });
    expect(subscriptionOf(last)).toBe(1);
  },
);

test('B221 a client that leaves its subscription is forgotten', async () => {
  const { client, endpoint } = await serve(createLab().factory, { limits: { subscriptions: 1 } });
  const one = client();
  const listen = () =>
    postModern(one, 'subscriptions/listen', { notifications: { toolsListChanged: true } });
  const stream = await listen();
  await stream.nextMessage();
  expect((await listen()).json()).toMatchObject({
    error: { code: -32603, message: 'Subscription limit reached' },
  });
  stream.abort();
  const again = await until(async () => {
    const next = await listen();
    return next.sse ? next : undefined;
  });
  if (again === undefined) throw new Error('no subscription');
  await again.nextMessage();
  endpoint.notify.toolsChanged();
  expect(await again.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
});
