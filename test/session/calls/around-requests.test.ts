/** The option `middleware`, on every way of a request into a server. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { ProtocolError } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import {
  type Middleware,
  currentSession,
  type McpEndpointOptions,
  type RequestAnswer,
  SojournError,
} from '../../../src/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { type Ask, ways } from '../../kit/around.ts';
import { textOf } from '../../kit/lab.ts';
import { until } from '../../kit/until.ts';

const sum = (ask: Ask, a = 1, b = 2) => ask('tools/call', { name: 'add', arguments: { a, b } });
const plain = (value: number): number => value;
const codeOf = (error: unknown): unknown => (error instanceof SojournError ? error.code : error);

describe.each(ways)('$name', ({ open, era, inSession, named: hasVersion }) => {
  test('gets each request of a client with what is known of it, and passes the answer on', async () => {
    const seen: Array<Record<string, unknown>> = [];
    const answers: RequestAnswer[] = [];
    const middleware: Middleware = async (request, next) => {
      const { method, name, uri, arguments: given, attempt, protocolVersion, session } = request;
      seen.push({
        method,
        name,
        uri,
        given,
        attempt,
        era: request.era,
        session: session?.id === currentSession()?.id,
      });
      expect([protocolVersion !== undefined, request.signal.aborted]).toEqual([
        hasVersion || inSession,
        false,
      ]);
      expect(request.http.headers.get('host')).toBe(request.header('Host'));
      answers.push(await next());
      return answers.at(-1) as RequestAnswer;
    };
    const { ask } = await open(plain, { middleware });
    expect(textOf(await sum(ask))).toBe('3');
    await ask('prompts/get', { name: 'greet', arguments: { who: 'x' } });
    await ask('resources/read', { uri: 'note://a' });
    expect((await ask('tools/list')).result).toMatchObject({ tools: [{ name: 'add' }] });
    expect((await ask('vendor/unknown')).error?.code).toBe(-32_601);
    const common = { era, attempt: 1, session: true };
    const expected = [
      ...(inSession ? [{ method: 'initialize' }] : []),
      { method: 'tools/call', name: 'add', given: { a: 1, b: 2 } },
      { method: 'prompts/get', name: 'greet', given: { who: 'x' } },
      { method: 'resources/read', uri: 'note://a' },
      { method: 'tools/list' },
      { method: 'vendor/unknown' },
    ];
    expect(seen).toEqual(
      expected.map((one) => ({
        name: undefined,
        uri: undefined,
        given: undefined,
        ...common,
        ...one,
      })),
    );
    expect(answers.map(({ error }) => error?.code)).toEqual(
      expected.map(({ method }) => (method === 'vendor/unknown' ? -32_601 : undefined)),
    );
  });

  test('several run in order, and one may answer by itself', async () => {
    const order: string[] = [];
    const named =
      (name: string): Middleware =>
      async (request, next) => {
        if (request.method !== 'tools/call') return next();
        order.push(`${name} begins`);
        const answer = await next();
        order.push(`${name} ends`);
        return answer;
      };
    const kept: Middleware = (request, next) =>
      request.arguments?.['a'] === 7
        ? { result: { content: [{ type: 'text', text: 'kept' }] } }
        : next();
    const ran: number[] = [];
    const { ask } = await open((value) => ran.push(value) && value, {
      middleware: [named('outer'), kept, named('inner')],
    });
    expect(textOf(await sum(ask))).toBe('3');
    expect(order).toEqual(['outer begins', 'inner begins', 'inner ends', 'outer ends']);
    expect(textOf(await sum(ask, 7))).toBe('kept');
    expect(ran).toEqual([3]);
    const refusing: Middleware = (request, next) =>
      request.method === 'tools/call'
        ? { error: { code: -32_050, message: 'no', data: { why: 'x' } } }
        : next();
    const other = await open(plain, { middleware: refusing });
    expect((await sum(other.ask)).error).toEqual({
      code: -32_050,
      message: 'no',
      data: { why: 'x' },
    });
  });

  test('enters the context of the application, and changes arguments and answers', async () => {
    const tenant = new AsyncLocalStorage<string>();
    const middleware: Middleware = async (request, next) => {
      if (request.method !== 'tools/call') return next();
      await new Promise(setImmediate);
      const { result } = await tenant.run('acme', () =>
        next({ ...request, params: { name: 'add', arguments: { ...request.arguments, b: 40 } } }),
      );
      return { result: { ...result, _meta: { changed: true } } };
    };
    const { ask } = await open((value) => `${value} for ${tenant.getStore()}`, { middleware });
    const answer = await sum(ask, 2);
    expect(textOf(answer)).toBe('42 for acme');
    expect(answer.result).toMatchObject({ _meta: { changed: true } });
  });

  test('next() runs a request once, and refuses to change what the request is', async () => {
    const errors: unknown[] = [];
    const note = (error: unknown): undefined => void errors.push(codeOf(error));
    const ran: number[] = [];
    const middleware: Middleware = async (request, next) => {
      const { method, params } = request;
      if (method !== 'tools/call') return next();
      if (request.arguments?.['a'] === 1) {
        const answer = await next();
        await next().catch(note);
        return answer;
      }
      return next(params?.['change'] as object);
    };
    const { ask } = await open((value) => ran.push(value) && value, { middleware });
    expect(textOf(await sum(ask))).toBe('3');
    expect(errors).toEqual(['NEXT_TWICE']);
    const other = { name: 'remove', arguments: {} };
    for (const change of [
      { method: 'tools/list' },
      { id: 'other' },
      { params: other },
      { params: 'text' },
    ]) {
      const catching: Middleware = (request, next) =>
        request.method === 'tools/call'
          ? next(change as never).catch(
              (error: unknown) => note(error) ?? { error: { code: 1, message: 'changed' } },
            )
          : next();
      const made = await open(plain, { middleware: catching });
      expect((await sum(made.ask)).error?.message).toBe('changed');
    }
    expect(errors.slice(1)).toEqual(Array(4).fill('REQUEST_CHANGED'));
    expect(ran).toEqual([3]);
  });

  test('what it throws is the error of the call, without its message', async () => {
    const reported: unknown[] = [];
    const options = (thrown: unknown): McpEndpointOptions => ({
      onerror: (error, context) =>
        context && reported.push([error.message, context.method, context.target]),
      middleware: (request, next) => {
        if (request.method === 'tools/call') throw thrown;
        return next();
      },
    });
    const { ask, served } = await open(plain, options(new Error('the key of acme is k-123')));
    expect((await sum(ask)).error).toEqual({ code: -32_603, message: 'Internal error' });
    await until(() => reported.length === 1);
    expect(reported).toEqual([['the key of acme is k-123', 'tools/call', 'add']]);
    expect(served.log.lines.some((line) => JSON.stringify(line).includes('k-123'))).toBe(false);
    const answering = await open(
      plain,
      options(new ProtocolError(-32_001, 'no such tenant', { tenant: 'x' })),
    );
    expect((await sum(answering.ask)).error).toEqual({
      code: -32_001,
      message: 'no such tenant',
      data: { tenant: 'x' },
    });
    const empty = await open(plain, {
      middleware: async (request, next) => {
        const answer = await next();
        return request.method === 'tools/call' ? (undefined as never) : answer;
      },
    });
    expect((await sum(empty.ask)).error?.code).toBe(-32_603);
    expect(reported).toHaveLength(1);
  });

  test('has the context of the session', async () => {
    const room = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const { ask } = await open(() => room.getStore(), {
      perSessionExecutionContext: true,
      runSessionHandler: async (_request, _session, run) => void (await room.run('a room', run)),
      middleware: (request, next) => {
        if (request.method !== 'tools/call') return next();
        seen.push(room.getStore());
        return request.arguments?.['a'] === 1 ? next() : room.run('another room', () => next());
      },
    });
    expect(textOf(await sum(ask))).toBe('a room');
    expect(textOf(await sum(ask, 2))).toBe('another room');
    expect(seen).toEqual(['a room', 'a room']);
  });

  test('is over when the time of the call is', async () => {
    const cut: unknown[] = [];
    const aborted: unknown[] = [];
    const time = createFakeTime();
    const { ask } = await open(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')));
          void time.advance(50);
        }),
      {
        timeProvider: time,
        limits: { callTimeoutMs: 50 },
        middleware: async (request, next) => {
          request.signal.addEventListener('abort', () =>
            aborted.push(codeOf(request.signal.reason)),
          );
          try {
            return await next();
          } catch (error) {
            cut.push(codeOf(error));
            throw error;
          }
        },
      },
    );
    expect((await sum(ask)).error?.message).toMatch(/time limit of 50 ms/);
    await until(() => cut.length > 0);
    expect([cut, aborted]).toEqual([['CALL_TIMEOUT'], ['CALL_TIMEOUT']]);
  });

  test('a handler is aborted when the request is answered without it', async () => {
    const signals: AbortSignal[] = [];
    const { ask } = await open((_, signal) => new Promise(() => signals.push(signal)), {
      middleware: async (request, next) => {
        if (request.method !== 'tools/call') return next();
        void next();
        await until(() => signals.length === 1);
        return { result: { content: [{ type: 'text', text: 'early' }] } };
      },
    });
    expect(textOf(await sum(ask))).toBe('early');
    await until(() => signals[0]?.aborted === true);
  });
});
