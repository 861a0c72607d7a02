/** What the public types promise, and the errors that say what to write. */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, expectTypeOf, onTestFinished, test } from 'vitest';
import {
  createMcpEndpoint,
  type EndReason,
  type Listening,
  type McpEndpoint,
  type McpHttpRequest,
  type McpSession,
  type RestoreCause,
  type RunSessionHandler,
  type RunningTask,
  type SessionInfo,
  type SessionInfoPage,
  type PagedList,
  type SessionMode,
  type State,
  type TaskInfo,
} from '../../src/index.ts';
import { telemetry } from '../../src/endpoint/otel/index.ts';
import * as stores from '../../src/stores/index.ts';
import { serve } from '../kit/serve.ts';

const factory = (): McpServer => new McpServer({ name: 'types', version: '1.0.0' });
describe('types', () => {
  test("a factory of sessionMode: 'stateful' always has a session", () => {
    createMcpEndpoint(
      (ctx) => {
        expectTypeOf(ctx.session).toEqualTypeOf<McpSession>();
        return factory();
      },
      { sessionMode: 'stateful' },
    );
    createMcpEndpoint(
      (ctx) => {
        expectTypeOf(ctx.session).toEqualTypeOf<McpSession | undefined>();
        return factory();
      },
      { stateless: false, use: [telemetry()] },
    );
    createMcpEndpoint((ctx) => {
      expectTypeOf(ctx.session).toEqualTypeOf<McpSession | undefined>();
      return factory();
    });
    createMcpEndpoint(
      (ctx) => {
        expectTypeOf(ctx.session).toEqualTypeOf<McpSession | undefined>();
        return factory();
      },
      { sessionMode: 'stateful' as SessionMode },
    );
  });

  test('runSessionHandler gets a session or a request, and events carry what belongs to them', () => {
    const endpoint = createMcpEndpoint(factory, {
      runSessionHandler: (_request, session, run) => {
        if (session.kind === 'session') expectTypeOf(session.id).toEqualTypeOf<string>();
        else expectTypeOf(session.id).toEqualTypeOf<undefined>();
        return run();
      },
    });
    endpoint.notices.on('sessionEnded', ({ reason }) =>
      expectTypeOf(reason).toEqualTypeOf<EndReason>(),
    );
    endpoint.notices.on('sessionRestored', ({ cause }) =>
      expectTypeOf(cause).toEqualTypeOf<RestoreCause>(),
    );
    endpoint.notices.on('sessionReleased', ({ reason }) =>
      expectTypeOf(reason).toEqualTypeOf<'released' | 'closed'>(),
    );
    // @ts-expect-error no such event
    endpoint.notices.on('finished', () => {});
    // @ts-expect-error a session that was opened has no reason
    endpoint.notices.on('sessionOpened', ({ reason }) => reason);
  });

  test('pages take what may be undefined, and walk; a task has the signal and the state that a session has', () => {
    const { sessions, tasks } = createMcpEndpoint(factory, { tasks: true });
    const maybe = undefined as string | undefined;
    expectTypeOf(sessions.list({ userKey: maybe, cursor: maybe })).toExtend<
      AsyncIterable<SessionInfo>
    >();
    expectTypeOf(tasks.list({ userKey: maybe, limit: undefined })).toExtend<
      AsyncIterable<TaskInfo>
    >();
    expectTypeOf<RunningTask['signal']>().toExtend<RequestInit['signal']>();
    const counted = async (state: Pick<State, 'get' | 'set'>) => {
      const before = (await state.get<number>('n')) ?? 0;
      await state.set('n', before + 1);
      return before;
    };
    expectTypeOf(counted).toBeCallableWith({} as RunningTask['state']);
    expectTypeOf(counted).toBeCallableWith({} as McpSession['state']);
  });

  test('runSessionHandler may return anything, at once or later', () => {
    expectTypeOf<(request: McpHttpRequest) => number>().toExtend<RunSessionHandler>();
    expectTypeOf<() => Promise<string>>().toExtend<RunSessionHandler>();
    expectTypeOf<() => void>().toExtend<RunSessionHandler>();
  });

  test('a listener is disposable, a list is a promise and iterates', () => {
    expectTypeOf<Listening>().toExtend<AsyncDisposable>();
    expectTypeOf<McpEndpoint>().toExtend<AsyncDisposable>();
    expectTypeOf<PagedList<SessionInfoPage, SessionInfo>>().toExtend<Promise<SessionInfoPage>>();
    expectTypeOf<PagedList<SessionInfoPage, SessionInfo>>().toExtend<AsyncIterable<SessionInfo>>();
    expectTypeOf<McpEndpoint['listen']>().parameter(0).not.toExtend<number>();
  });

  test('the author of a store writes it with sojourn/store alone', () => {
    expectTypeOf<stores.OpenStore['records']>().toEqualTypeOf<
      (kind: stores.Kind) => stores.Records
    >();
    expectTypeOf<stores.OpenStore['instances']>().toEqualTypeOf<stores.InstanceStore>();
    expectTypeOf<stores.StoreOptions['random']>().toEqualTypeOf<stores.RandomSource>();
    expectTypeOf(stores.isEnded).returns.toEqualTypeOf<boolean>();
    expect(stores.storeUnavailable('writing')).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
    });
  });
});

test('sessions.list() is a page, and walks all pages one by one', async () => {
  const { client, endpoint } = await serve(factory);
  for (let n = 0; n < 5; n++) await client().initialize();
  const { sessions, nextCursor } = await endpoint.sessions.list({ limit: 2 });
  expect([sessions.length, typeof nextCursor]).toEqual([2, 'string']);
  const ids = new Set<SessionInfo['id']>();
  for await (const { id } of endpoint.sessions.list({ limit: 2 })) ids.add(id);
  expect(ids.size).toBe(5);
});

test('a listener is disposed of at the end of its block', async () => {
  const endpoint = createMcpEndpoint(factory);
  onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
  const listening = await endpoint.listen({ port: 0 });
  await listening[Symbol.asyncDispose]();
  await expect(fetch(listening.url)).rejects.toThrow();
});

describe('errors say what to write', () => {
  test('of listen(), drain() and lists', async () => {
    const endpoint = createMcpEndpoint(factory, { tasks: true });
    onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
    await expect(endpoint.listen(31_290 as never)).rejects.toThrow(
      'listen() takes an object with any of port',
    );
    await expect(endpoint.listen(31_290 as never)).rejects.toThrow('write listen({ port: 31290 })');
    await expect(endpoint.listen({ prot: 1 } as never)).rejects.toThrow('did you mean port?');
    await expect(endpoint.drain({ timeout: 5 } as never)).rejects.toThrow(
      'did you mean timeoutMs?',
    );
    for (const limit of [0, -1, 1.5, 1_001])
      for (const { list } of [endpoint.sessions, endpoint.tasks])
        await expect(list({ limit })).rejects.toThrow(
          `Option limit: got ${limit}, takes 1 to 1000`,
        );
  });

  test('of a factory that returns the same server twice', async () => {
    const one = factory();
    const { client, log } = await serve(() => one);
    await client().initialize();
    expect((await client().initialize()).response.status).toBe(500);
    expect(
      log.lines.some(({ fields }) => String(fields['err']).includes('the same server twice')),
    ).toBe(true);
  });
});
