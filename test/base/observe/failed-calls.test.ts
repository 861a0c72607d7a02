/** Failed calls in the lines of requests, and what handlers throw in `onerror`, on real sockets. */
import {
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  ResourceTemplate,
  Server,
} from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { ErrorContext, McpEndpointOptions } from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { hashOf, type Log } from '../../kit/log.ts';
import { callModern, postModern } from '../../kit/modern.ts';
import { faces, serve, type Served } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';

function failing(server: McpServer): McpServer {
  server.registerTool('boom', {}, () => {
    throw new TypeError('sesame');
  });
  server.registerTool('says', {}, () => ({
    content: [{ type: 'text', text: 'no' }],
    isError: true,
  }));
  server.registerTool('adds', { inputSchema: z.object({ a: z.number() }) }, ({ a }) => ({
    content: [{ type: 'text', text: `"error" ${a}` }],
  }));
  return server;
}

const v2 = (): McpServer => failing(new McpServer({ name: 'failing', version: '1.0.0' }));

function v1(): McpServerV1 {
  const server = new McpServerV1({ name: 'failing', version: '1.0.0' });
  server.registerTool('boom', {}, () => {
    throw new TypeError('sesame');
  });
  return server;
}

/** A server without `McpServer` whose handler throws. */
function lowLevel(): Server {
  const server = new Server({ name: 'low', version: '1.0.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler('tools/call', ({ params }) => {
    if (params.name === 'answers')
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'an answer');
    throw new RangeError('sesame');
  });
  return server;
}

const failures = (log: Log): unknown[] =>
  log
    .matching(/^request$/)
    .filter(
      ({ fields }) =>
        fields['method'] !== 'initialize' && fields['method'] !== 'notifications/initialized',
    )
    .map(({ fields: { tool, status, error, isError, reason } }) => ({
      tool,
      status,
      error,
      isError,
      reason,
    }));

const modern = ({ client }: Served, name: string, args: object = {}) =>
  postModern(client(), 'tools/call', { name, arguments: args });

const CALLS = [
  ['boom', {}],
  ['says', {}],
  ['adds', { a: 'one' }],
  ['adds', { a: 1 }],
  ['unknown', {}],
] as const;

describe.each(faces)('over %s', (face) => {
  test.each<[string, McpEndpointOptions, 'legacy' | 'modern']>([
    ['on a session', {}, 'legacy'],
    ['on a session with JSON answers', { responseMode: 'json' }, 'legacy'],
    ['without a session', { sessionMode: 'stateless' }, 'legacy'],
    ['of 2026-07-28', {}, 'modern'],
  ])('the line of a request says how its call failed, %s', async (_what, options, era) => {
    const served = await serve(v2, { ...options, accessLog: true }, { face });
    const one = served.client();
    if (era === 'legacy') await one.initialize();
    for (const [name, args] of CALLS) {
      if (era === 'modern') await modern(served, name, args);
      else await one.call('tools/call', { name, arguments: args });
    }
    await until(() => failures(served.log).length === CALLS.length, {
      what: 'a line for each call',
    });
    expect(failures(served.log)).toEqual([
      { tool: 'boom', status: 200, isError: true },
      { tool: 'says', status: 200, isError: true },
      { tool: 'adds', status: 200, isError: true },
      { tool: 'adds', status: 200 },
      { tool: 'unknown', status: 200, error: -32602 },
    ]);
  });
});

test('a call whose session ends says the reason', async () => {
  const server = v2();
  server.registerTool('waits', {}, () => new Promise<never>(() => {}));
  const served = await serve(server, { accessLog: true });
  const one = await served.openSession();
  const call = one.call('tools/call', { name: 'waits', arguments: {} });
  await until(() => served.endpoint.sessions.liveCount === 1, { what: 'the session' });
  await one.delete({ sessionId: one.sessionId });
  await call;
  await until(() => failures(served.log).length === 2, { what: 'both lines' });
  expect(failures(served.log)).toContainEqual({
    tool: 'waits',
    status: 200,
    error: expect.any(Number) as number,
    reason: 'session_ended',
  });
});

type Reported = [message: string, context: ErrorContext | undefined];

function reports(): {
  readonly all: Reported[];
  readonly onerror: NonNullable<McpEndpointOptions['onerror']>;
} {
  const all: Reported[] = [];
  return { all, onerror: (error, context) => all.push([error.message, context]) };
}

/** `line`: what its warning in the log is called. */
describe.each<
  [string, () => McpServer | McpServerV1 | Server, readonly ('legacy' | 'modern')[], line?: string]
>([
  ['a server of SDK 2', v2, ['legacy', 'modern'], 'A tool threw'],
  ['a low-level server of SDK 2', lowLevel, ['legacy', 'modern']],
  ['a server of SDK 1', v1, ['legacy'], 'A tool threw'],
])('what %s throws', (_sdk, make, eras, line) => {
  test.each<
    [
      string,
      (() => McpServer | McpServerV1 | Server) | McpServer | McpServerV1 | Server,
      McpEndpointOptions?,
    ]
  >([
    ['a factory', make],
    ['one object', make()],
    ['a factory, through middleware', make, { middleware: async (_request, next) => next() }],
  ])(
    'reaches onerror once, with its method, tool and session, and the log with the place: %s',
    async (_what, server, options) => {
      const { all, onerror } = reports();
      const served = await serve(server, { ...options, onerror });
      const one = await served.openSession();
      const { message } = await one.call('tools/call', {
        name: 'boom',
        arguments: { secret: 'x' },
      });
      const session = hashOf(one.sessionId);
      const expected: Reported[] = [
        ['sesame', { method: 'tools/call', target: 'boom', sessionHash: session }],
      ];
      expect(all).toEqual(expected);
      if (line !== undefined) {
        expect(message).toMatchObject({ result: { isError: true } });
        const at = expect.stringMatching(/failed-calls\.test\.ts:\d+:\d+$/) as string;
        const fields = { tool: 'boom', error: 'TypeError', at, sessionId: session };
        expect(served.log.matching(/threw/)).toEqual([{ level: 'warn', message: line, fields }]);
      }
      if (!eras.includes('modern')) return;
      await modern(served, 'boom');
      expect(all).toEqual([...expected, ['sesame', { method: 'tools/call', target: 'boom' }]]);
    },
  );

  test('reaches onerror once without a session', async () => {
    const { all, onerror } = reports();
    const served = await serve(make, { onerror, sessionMode: 'stateless' });
    await served.client().call('tools/call', { name: 'boom', arguments: {} });
    expect(all).toEqual([['sesame', { method: 'tools/call', target: 'boom' }]]);
  });
});

test.each([v2, v1])(
  'a tool that was updated, and that middleware calls by another name, throws to onerror: %o',
  async (make) => {
    const { all, onerror } = reports();
    const server = make() as McpServer;
    const tool = server.registerTool('late', {}, () => ({ content: [] }));
    const table = Reflect.get(server.server, '_requestHandlers') as Map<
      string,
      (...given: unknown[]) => unknown
    >;
    const own = table.get('tools/call');
    table.set('tools/call', (asked, ctx) =>
      own?.({ ...Object(asked), params: { name: 'late', arguments: {} } }, ctx),
    );
    const one = await (await serve(server, { onerror })).openSession();
    await one.call('tools/call', { name: 'alias', arguments: {} });
    tool.update({ callback: () => Promise.reject(new Error('updated')) });
    await one.call('tools/call', { name: 'alias', arguments: {} });
    expect(all.map(([message]) => message)).toEqual(['updated']);
  },
);

test('answers reach neither onerror nor a warning: isError, refused arguments, a ProtocolError', async () => {
  const { all, onerror } = reports();
  const [high, low] = [await serve(v2, { onerror }), await serve(lowLevel, { onerror })];
  const one = await high.openSession();
  await one.call('tools/call', { name: 'says', arguments: {} });
  await one.call('tools/call', { name: 'adds', arguments: {} });
  await one.call('tools/call', { name: 'unknown', arguments: {} });
  const other = await low.openSession();
  await other.call('tools/call', { name: 'answers', arguments: {} });
  await modern(low, 'answers');
  expect(all).toEqual([]);
  for (const { log } of [high, low]) expect(log.matching(/threw/)).toEqual([]);
});

test('an error with a number as its code is no answer, unless JSON-RPC reserves the number', async () => {
  const { all, onerror } = reports();
  const server = v2();
  const thrown = [
    Object.assign(new Error('of gRPC'), { code: 14 }),
    new DOMException('of fetch', 'TimeoutError'),
    Object.assign(new Error('an answer'), { code: -32_001 }),
    new ProtocolError(1_001, 'another answer'),
  ];
  server.registerPrompt('throws', {}, () => {
    throw thrown.shift() ?? new Error('one call too many');
  });
  const one = (await serve(server, { onerror })).client();
  await one.initialize();
  while (thrown.length > 0) await one.call('prompts/get', { name: 'throws' });
  expect(all.map(([message]) => message)).toEqual(['of gRPC', 'of fetch']);
});

test('what handlers of resources, completions and notifications throw reaches onerror, with no URI', async () => {
  const { all, onerror } = reports();
  const fails = (message: string) => (): never => {
    throw new Error(message);
  };
  const server = v2();
  server.registerResource('r', 'mem://secret', {}, fails('resource'));
  const complete = { id: fails('completion') };
  server.registerResource(
    't',
    new ResourceTemplate('mem://t/{id}', { list: undefined, complete }),
    {},
    fails('t'),
  );
  server.server.oninitialized = fails('oninitialized');
  server.server.setNotificationHandler('notifications/roots/list_changed', async () =>
    fails('roots')(),
  );
  const one = (await serve(server, { onerror })).client();
  await one.initialize();
  await one.notify('notifications/roots/list_changed');
  await one.call('resources/read', { uri: 'mem://secret' });
  const ref = { type: 'ref/resource', uri: 'mem://t/{id}' };
  await one.call('completion/complete', { ref, argument: { name: 'id', value: '' } });
  const sessionHash = hashOf(one.sessionId);
  expect(all).toEqual([
    ['oninitialized', { method: 'notifications/initialized', sessionHash }],
    ['roots', { method: 'notifications/roots/list_changed', sessionHash }],
    ['resource', { method: 'resources/read', sessionHash }],
    ['completion', { method: 'completion/complete', sessionHash }],
  ]);
});

describe.each<[string, (make: () => McpServer) => (() => McpServer) | McpServer]>([
  ['a factory', (make) => make],
  ['one object', (make) => make()],
])('what a handler of %s throws once its signal has aborted', (_what, given) => {
  const time = createFakeTime();
  test.each<
    [string, McpEndpointOptions, (served: Served, began: Promise<unknown>) => Promise<unknown>]
  >([
    [
      'because its client cancelled',
      {},
      async ({ openSession }, began) => {
        const one = await openSession();
        const call = await one.post({
          jsonrpc: '2.0',
          id: 7,
          method: 'tools/call',
          params: { name: 'stops' },
        });
        await began;
        await one.notify('notifications/cancelled', { requestId: 7 });
        return call.untilEnd();
      },
    ],
    [
      'because its client of 2026-07-28 left',
      { keepAliveMs: 20 },
      async ({ client }, began) => {
        const call = await postModern(client(), 'tools/call', { name: 'stops', arguments: {} });
        await began;
        call.abort();
      },
    ],
    [
      'because its client without a session left',
      { sessionMode: 'stateless' },
      async ({ client }, began) => {
        const call = await client().post({
          jsonrpc: '2.0',
          id: 7,
          method: 'tools/call',
          params: { name: 'stops' },
        });
        await began;
        call.abort();
      },
    ],
    [
      'because its time was over',
      { limits: { callTimeoutMs: 50 }, timeProvider: time },
      async ({ client }, began) => {
        const call = postModern(client(), 'tools/call', { name: 'stops', arguments: {} });
        await began;
        await time.advance(50);
        return (await call).untilEnd();
      },
    ],
  ])('does not reach onerror, %s', async (_why, options, abort) => {
    const { all, onerror } = reports();
    let begin = (): void => {};
    const began = new Promise<void>((resolve) => (begin = resolve));
    let stopped = (): void => {};
    const stop = new Promise<void>((resolve) => (stopped = resolve));
    const make = (): McpServer => {
      const server = v2();
      server.registerTool('stops', {}, ({ mcpReq: { signal } }) => {
        begin();
        // At once, as a driver does.
        return new Promise<never>((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('The query was cancelled'));
            stopped();
          });
        });
      });
      return server;
    };
    const served = await serve(given(make), { ...options, onerror });
    await abort(served, began);
    await stop;
    // The next call of the same instance comes after it.
    await callModern(served.client(), 'tools/call', { name: 'says', arguments: {} }).catch(
      () => {},
    );
    expect(all).toEqual([]);
    expect(served.log.matching(/threw/)).toEqual([]);
  });
});

test('a relayed call that throws reaches onerror of the owner alone', async () => {
  const at: string[] = [];
  const store = memory();
  const open = (name: string) =>
    serve(v2, { store, onerror: (error: Error) => at.push(`${name}: ${error.message}`) });
  const [owner, other] = [await open('owner'), await open('other')];
  const one = await owner.openSession();
  await other.client({ of: one }).call('tools/call', { name: 'boom', arguments: {} });
  expect(at).toEqual(['owner: sesame']);
});

test('a value that is no error becomes one, and an onerror that throws or rejects is a warning', async () => {
  const causes: unknown[] = [];
  const server = new McpServer({ name: 'odd', version: '1.0.0' });
  server.registerTool('text', {}, () => {
    // oxlint-disable-next-line only-throw-error
    throw 'sesame';
  });
  let fails = (): unknown => undefined;
  const served = await serve(server, {
    limits: { subscriptions: 1 },
    onerror: (error) => {
      causes.push([error.message, error.cause]);
      return fails();
    },
  });
  const one = await served.openSession();
  const call = () => one.call('tools/call', { name: 'text', arguments: {} });
  await call();
  fails = () => {
    throw new Error('of onerror');
  };
  await call();
  fails = () => Promise.reject(new Error('of onerror'));
  await call();
  expect(causes).toEqual(Array.from({ length: 3 }, () => ['A handler threw string', 'sesame']));
  await until(() => served.log.matching(/^onerror threw$/).length === 2, { what: 'two warnings' });
  // What the SDK refuses by itself.
  const meta = { 'io.modelcontextprotocol/clientCapabilities': 7 };
  expect((await callModern(served.client(), 'tools/list', {}, { meta })).response.status).toBe(400);
  const listen = () =>
    postModern(served.client(), 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
  await (await listen()).nextMessage();
  expect((await listen()).json()).toMatchObject({
    error: { message: 'Subscription limit reached' },
  });
  await until(() => served.log.matching(/^onerror threw$/).length === 4, { what: 'four warnings' });
});
