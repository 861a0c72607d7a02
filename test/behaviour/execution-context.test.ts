// @module-tag per-session
/** In which asynchronous context handlers run: of the HTTP request, or one of the session's own. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import {
  currentRequest,
  currentSession,
  type McpEndpointOptions,
  type RunSessionHandler,
} from '../../src/index.ts';
import { textOf, tool, toolCall } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { serve, type ServeSettings } from '../kit/serve.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { perFace } from '../kit/sessions.ts';
import { turns } from '../kit/until.ts';

const room = new AsyncLocalStorage<string>();
const requests = new AsyncLocalStorage<string>();

/** What a handler finds, at its beginning and after it has waited. */
const look: Tool = async () => {
  const early = [room.getStore(), requests.getStore()];
  await turns();
  const late = [room.getStore(), requests.getStore()];
  const sessionId = currentSession()?.id;
  return said(JSON.stringify({ early, late, sessionId, path: currentRequest()?.method }));
};

const ask: Tool = async (_args, ctx) => {
  const { action } = await ctx.mcpReq.elicitInput({
    message: 'Which?',
    requestedSchema: { type: 'object', properties: {} },
  });
  return said(`${action} in ${room.getStore()}`);
};

/** A middleware that runs each request in a separate context, named by `x-request`. */
const named: ServeSettings['around'] = ({ 'x-request': name = 'unnamed' }, next) =>
  requests.run(String(name), next);

/** A run hook that enters the first, the second … room of its endpoint. */
function rooms(): RunSessionHandler {
  let n = 0;
  return async (_request, _session, run) => void (await room.run(`room ${++n}`, run));
}

const found = (message: unknown): unknown => JSON.parse(textOf(message) ?? '');

const as = (name: string) => ({ headers: { 'x-request': name } });

describe.each(perFace)('over $face', ({ serve }) => {
  /** Each handler calls this endpoint behind that middleware. */
  const open = async (options: McpEndpointOptions) =>
    (await serve(toolServer({ look, ask }), options, { around: named })).client;

  test('B193 what the run hook entered is seen by all tools of its session, and by no other session', async () => {
    const client = await open({ perSessionExecutionContext: true, runSessionHandler: rooms() });
    const [one, two] = [client(), client()];
    await one.initialize();
    await two.initialize();
    for (const [who, name] of [
      [one, 'room 1'],
      [two, 'room 2'],
      [one, 'room 1'],
    ] as const) {
      const { message } = await who.call(...tool('look'), as('later'));
      // The context is that of the request that opened the session, and no request is current.
      expect(found(message)).toEqual({
        early: [name, 'unnamed'],
        late: [name, 'unnamed'],
        sessionId: who.sessionId,
      });
    }
  });

  test('B193 what a hook enters before its first await lasts the session too, and stays in it', async () => {
    const client = await open({
      perSessionExecutionContext: true,
      configureSessionOptions: ({ headers }) => room.enterWith(`of ${headers.get('x-request')}`),
    });
    const [one, two] = [client(), client()];
    await one.initialize(as('one'));
    await two.initialize(as('two'));
    expect(found((await one.call(...tool('look'))).message)).toMatchObject({
      early: ['of one', 'one'],
    });
    expect(found((await two.call(...tool('look'))).message)).toMatchObject({
      early: ['of two', 'two'],
    });
    // The next request on the same connection has nothing of it.
    const { message } = await callModern(
      one,
      'tools/call',
      { name: 'look' },
      { headers: { 'x-request': 'modern' } },
    );
    expect(found(message)).toMatchObject({ early: ['of modern', 'modern'] });
  });

  test('B193 a question still goes out on the stream of its call', async () => {
    const client = await open({ perSessionExecutionContext: true, runSessionHandler: rooms() });
    const one = client();
    await one.initialize({ capabilities: { elicitation: {} } });
    const stream = await one.post(toolCall('q', 'ask'));
    const question = await stream.nextMessage();
    expect(question.method).toBe('elicitation/create');
    await one.post({ jsonrpc: '2.0', id: question.id, result: { action: 'decline' } });
    expect(textOf(await stream.nextMessage())).toBe('decline in room 1');
  });

  test('B194 by default a handler runs in the context of the HTTP request that called it, and not in the hook’s', async () => {
    const client = await open({ runSessionHandler: rooms() });
    const one = client();
    await one.initialize(as('opening'));
    const calls = ['a', 'b', 'c'].map((name) => one.call(...tool('look'), as(name)));
    const answers = await Promise.all(calls);
    expect(answers.map(({ message }) => found(message))).toEqual(
      ['a', 'b', 'c'].map((name) => ({
        early: [null, name],
        late: [null, name],
        sessionId: one.sessionId,
        path: 'POST',
      })),
    );
  });

  test('B194 so it does when the calls of many requests wait for their turn, and when their bodies are large', async () => {
    const client = await open({});
    const one = client();
    await one.initialize(as('opening'));
    const names = Array.from({ length: 24 }, (_, n) => `request ${n}`);
    for (const padding of [10, 300_000]) {
      const args = { arguments: { padding: 'x'.repeat(padding) } };
      const calls = names.map((name) =>
        one.call('tools/call', { name: 'look', ...args }, as(name)),
      );
      const answers = await Promise.all(calls);
      expect(
        answers.map(({ message }) => (found(message) as { early: unknown[] }).early[1]),
      ).toEqual(names);
    }
  });

  test('B194 so it does when the body comes in pieces, after the head', async () => {
    const client = await open({});
    const one = client();
    await one.initialize(as('opening'));
    const { request, response } = one.start('POST', as('slow'), {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    });
    const body = JSON.stringify(toolCall('slow', 'look'));
    request.write(body.slice(0, 10));
    expect((await one.call('ping', {}, as('between'))).response.status).toBe(200);
    request.end(body.slice(10));
    expect(found(await (await response).nextMessage())).toMatchObject({
      early: [null, 'slow'],
      late: [null, 'slow'],
    });
  });
});

describe.each(['stateful', 'stateless', '2026-07-28'] as const)(
  'perSessionExecutionContext: %s',
  (mode) => {
    test.each([
      ['in runSessionHandler at once', 'kept'],
      ['in runSessionHandler after an await', 'kept'],
      ['in configureSessionOptions at once', 'kept'],
      ['in configureSessionOptions after an await', null],
      ['in the factory', null],
    ])('B193 what enterWith() enters %s reaches handlers: %s', async (where, expected) => {
      const enter = (here: string): void => {
        if (where === here) room.enterWith('kept');
      };
      const tools = toolServer({ look }, () => enter('in the factory'));
      const { client } = await serve(tools, {
        perSessionExecutionContext: true,
        sessionMode: mode === '2026-07-28' ? 'hybrid' : mode,
        configureSessionOptions: async () => {
          enter('in configureSessionOptions at once');
          await turns();
          enter('in configureSessionOptions after an await');
        },
        runSessionHandler: async (_request, _session, run) => {
          enter('in runSessionHandler at once');
          await turns();
          enter('in runSessionHandler after an await');
          await run();
        },
      });
      const one = client();
      if (mode === 'stateful') await one.initialize();
      const call =
        mode === '2026-07-28' ? callModern(one, ...tool('look')) : one.call(...tool('look'));
      expect(found((await call).message)).toMatchObject({
        early: [expected, null],
        late: [expected, null],
      });
    });
  },
);
