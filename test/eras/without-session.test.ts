/** Requests and notifications without a session, of both eras: their handlers, their run hook and its signal. */
import { type McpServer, Server } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { RootsListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type ConnectableServer,
  type McpEndpoint,
  type RunSessionHandler,
  currentRequest,
  type McpEndpointOptions,
  type McpRequestRun,
  type McpSession,
} from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf, tool, toolCall, type Held } from '../kit/lab.ts';
import { callModern, envelope, mirrored, postModern } from '../kit/modern.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { gate } from '../kit/watched-store.ts';
import { until } from '../kit/until.ts';

const NOTE = 'notifications/progress';
const params = { progressToken: 'p', progress: 1 };

interface Era {
  readonly options: McpEndpointOptions;
  notify(client: RawClient, method?: string): Promise<RawResponse>;
  hold(client: RawClient): Promise<RawResponse>;
}

const ERAS: Readonly<Record<string, Era>> = {
  stateless: {
    options: { sessionMode: 'stateless' },
    notify: (client, method = NOTE) => client.notify(method, params),
    hold: (client) => client.post(toolCall('h', 'hold')),
  },
  '2026-07-28': {
    options: { keepAliveMs: 20 },
    notify: (client, method = NOTE) =>
      client.post(
        { jsonrpc: '2.0', method, params: { ...params, _meta: envelope() } },
        { headers: mirrored(method) },
      ),
    hold: (client) => postModern(client, 'tools/call', { ...tool('hold')[1] }),
  },
};
const cases = Object.entries(ERAS).flatMap(([name, era]) =>
  faces.map((face): [string, Face, Era] => [name, face, era]),
);

/** A server whose handler of `vendor/note` waits for the test. */
function noteServer(onServer: (server: McpServer) => void = () => {}) {
  const story: unknown[] = [];
  const { hook, open: finish } = gate();
  onTestFinished(finish);
  const factory = toolServer({}, (server) => {
    server.server.fallbackNotificationHandler = async ({ method }) => {
      story.push(['began', method, currentRequest()?.headers.get('x-tenant')]);
      await hook();
      story.push('handled');
    };
    onServer(server);
  });
  return { factory, story, finish };
}

/** Notes what happens to the hook. */
const hookInto =
  (story: unknown[]): NonNullable<McpEndpointOptions['runSessionHandler']> =>
  async (_request, session, run) => {
    story.push(session.kind);
    session.signal.addEventListener('abort', () => story.push(['aborted', session.signal.reason]));
    story.push(['left', await run()]);
  };

interface Running {
  readonly held: Held;
  readonly response: Promise<RawResponse>;
  readonly endpoint: McpEndpoint;
}

/** How the run of a request ends. */
const ENDS: ReadonlyArray<readonly [string, string, (running: Running) => unknown]> = [
  ['the request is answered', 'request_done', ({ held }) => held.answer('done')],
  ['the client disconnects', 'disconnected', async ({ response }) => (await response).abort()],
  ['the endpoint closes', 'closed', ({ endpoint }) => endpoint.close({ timeoutMs: 0 })],
  [
    'the time of a drain is over',
    'closed',
    async ({ endpoint }) =>
      expect(await endpoint.drain({ timeoutMs: 10 })).toMatchObject({ interrupted: 1 }),
  ],
];

describe.each(cases)('%s over %s', (_name, face, { options, notify, hold }) => {
  test('B92 a notification reaches its handler within the run hook, and its client gets 202 before the handler has finished', async () => {
    const { factory, story, finish } = noteServer();
    const { client, endpoint } = await serve(
      factory,
      { ...options, runSessionHandler: hookInto(story) },
      { face },
    );
    const one = client({ headers: { 'x-tenant': 'red' } });
    const response = await notify(one, 'vendor/note');
    expect([response.status, await response.untilEnd()]).toEqual([202, []]);
    await until(() => story.length === 2);
    expect(story).toEqual(['request', ['began', 'vendor/note', 'red']]);
    finish();
    await until(() => story.length === 5);
    expect(story.slice(2)).toEqual([
      'handled',
      ['aborted', 'request_done'],
      ['left', 'request_done'],
    ]);
    await endpoint.close({ timeoutMs: 0 });
  });

  test('notifications count in limits.sessionlessRequests until their handlers have finished', async () => {
    const { factory, story, finish } = noteServer();
    const { client } = await serve(
      factory,
      { ...options, limits: { sessionlessRequests: 2, userShare: 1 } },
      { face },
    );
    const one = client();
    for (let n = 0; n < 2; n++) expect((await notify(one, 'vendor/note')).status).toBe(202);
    await until(() => story.length === 2);
    const refused = await notify(one, 'vendor/note');
    expect([refused.status, refused.json()]).toMatchObject([503, { id: null }]);
    finish();
    await until(() => story.length === 4);
    await until(async () => (await notify(one, 'vendor/note')).status === 202);
  });

  test('a handler that hangs keeps its place for hookTimeoutMs', async () => {
    const { factory, story } = noteServer();
    const time = createFakeTime();
    const { client, log } = await serve(
      factory,
      { ...options, limits: { sessionlessRequests: 1 }, hookTimeoutMs: 5_000, timeProvider: time },
      { face },
    );
    const one = client();
    expect((await notify(one, 'vendor/note')).status).toBe(202);
    await until(() => story.length === 1);
    expect((await notify(one, 'vendor/note')).status).toBe(503);
    // The timer starts a turn after its handler.
    await until(async () => {
      await time.advance(5_000);
      return (await notify(one, 'vendor/note')).status === 202;
    });
    expect(
      log.matching(/^the handler of a notification did not return/, 'warn').length,
    ).toBeGreaterThan(0);
  });

  test('a notification without a handler ends its hook, and a handler that throws does too', async () => {
    const story: unknown[] = [];
    const factory = toolServer({}, (server) => {
      server.server.setNotificationHandler('notifications/roots/list_changed', () => {
        story.push('thrown');
        throw new Error('no');
      });
    });
    const { client } = await serve(
      factory,
      { ...options, runSessionHandler: hookInto(story) },
      { face },
    );
    expect((await notify(client(), 'vendor/unknown')).status).toBe(202);
    await until(() => story.length === 3);
    expect(story.splice(0)).toEqual([
      'request',
      ['aborted', 'request_done'],
      ['left', 'request_done'],
    ]);
    expect((await notify(client(), 'notifications/roots/list_changed')).status).toBe(202);
    await until(() => story.at(-1)?.toString() === 'left,request_done');
  });

  describe('B192 session.signal of the run hook aborts with the reason, as run() does,', () => {
    test.each(ENDS)('when %s', async (_how, reason, end) => {
      const story: unknown[] = [];
      const lab = createLab();
      const served = await serve(
        lab.factory,
        { ...options, runSessionHandler: hookInto(story) },
        { face },
      );
      const response = hold(served.client());
      const held = await lab.held();
      expect(story).toEqual(['request']);
      const ended = end({ held, response, endpoint: served.endpoint });
      await until(() => story.length === 3);
      expect(story.slice(1)).toEqual([
        ['aborted', reason],
        ['left', reason],
      ]);
      await ended;
      await Promise.allSettled([response]);
    });

    test('when the hook still prepares', async () => {
      let given: McpSession | McpRequestRun | undefined;
      const prepared = gate();
      let reason: unknown;
      const lab = createLab();
      const runSessionHandler: RunSessionHandler = async (_request, session, run) => {
        given = session;
        await prepared.hook();
        reason = await run();
      };
      const served = await serve(lab.factory, { ...options, runSessionHandler }, { face });
      const response = hold(served.client());
      await until(() => given !== undefined);
      expect(given?.signal.aborted).toBe(false);
      const closing = served.endpoint.close({ timeoutMs: 0 });
      await until(() => given?.signal.aborted === true);
      expect(given?.signal.reason).toBe('closed');
      prepared.open();
      await Promise.allSettled([closing, response]);
      expect([reason, lab.holds.length]).toEqual(['closed', 0]);
    });
  });
});

describe('a run hook that returns before its request was answered ends it with an error that names the hook', () => {
  const leaving = () => {
    const left = gate();
    const signals: AbortSignal[] = [];
    const runSessionHandler: RunSessionHandler = async (_request, { signal }, run) => {
      signals.push(signal);
      void run();
      await left.hook();
    };
    return { left, signals, runSessionHandler };
  };
  const says = {
    error: { message: /^Internal error: runSessionHandler returned before .*; it must return/ },
  };

  test('a stateless request', async () => {
    const { left, signals, runSessionHandler } = leaving();
    const lab = createLab();
    const { client } = await serve(lab.factory, { sessionMode: 'stateless', runSessionHandler });
    const called = client().call(...tool('hold'));
    await lab.held();
    left.open();
    expect((await called).message).toMatchObject(says);
    expect(signals.map(({ reason }) => reason as unknown)).toEqual(['handler_returned']);
  });

  test('a subscriptions/listen, whose stream ends', async () => {
    const { left, runSessionHandler } = leaving();
    const { client } = await serve(createLab().factory, { runSessionHandler });
    const stream = await postModern(client(), 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
    await stream.nextMessage();
    left.open();
    expect(await stream.nextMessage()).toMatchObject(says);
    await stream.untilEnd();
  });
});

test('a notification reaches a server of SDK 1 in stateless serving', async () => {
  const story: unknown[] = [];
  const factory = () => {
    const server = new McpServerV1({ name: 'v1', version: '1' });
    server.server.setNotificationHandler(
      RootsListChangedNotificationSchema,
      () => void story.push('handled'),
    );
    return server;
  };
  const { client } = await serve(factory, {
    sessionMode: 'stateless',
    runSessionHandler: hookInto(story),
  });
  expect((await client().notify('notifications/roots/list_changed')).status).toBe(202);
  await until(() => story.length === 4);
  expect(story).toEqual([
    'request',
    'handled',
    ['aborted', 'request_done'],
    ['left', 'request_done'],
  ]);
});

test('an onclose that throws as its client leaves is a warning', async () => {
  const lab = createLab((server) => {
    server.server.onclose = () => {
      throw new Error('closes badly');
    };
  });
  const { client, log } = await serve(lab.factory, { sessionMode: 'stateless' });
  const response = await client().post(toolCall('h', 'hold'));
  await lab.held();
  response.abort();
  await until(() => log.matching(/could not be closed/, 'warn').length === 1);
  expect(log.matching(/./, 'error')).toEqual([]);
});

test('the notification of a factory that throws gets its error', async () => {
  const factory = () => {
    throw new Error('no database');
  };
  const { client } = await serve(factory, { sessionMode: 'stateless' });
  const response = await client().notify('notifications/initialized');
  expect([response.status, response.json()]).toMatchObject([500, { id: null }]);
});

describe('a server whose close() returns no promise', () => {
  /** An object around a server of SDK 1, as frameworks make it. */
  const around = (closed: () => void) => (): ConnectableServer => {
    const server = new McpServerV1({ name: 'v1', version: '1' });
    server.registerTool('hello', {}, () => ({ content: [{ type: 'text', text: 'hello' }] }));
    const close = (): void => {
      closed();
      void server.close();
    };
    return { connect: (transport) => server.connect(transport), close: close as () => never };
  };

  test('serves stateless requests and sessions, and is closed after them', async () => {
    for (const sessionMode of ['stateless', 'stateful'] as const) {
      let closes = 0;
      const { client, endpoint, log } = await serve(
        around(() => (closes += 1)),
        { sessionMode },
      );
      const one = client();
      if (sessionMode === 'stateful') await one.initialize();
      const { response, message } = await one.call(...tool('hello'));
      expect([response.status, textOf(message)]).toEqual([200, 'hello']);
      await endpoint.close({ timeoutMs: 0 });
      expect(closes).toBeGreaterThan(0);
      expect(log.matching(/./, 'error')).toEqual([]);
    }
  });

  test('answers a probe of 2026-07-28 with the versions that it serves', async () => {
    let closes = 0;
    const { client, log } = await serve(around(() => (closes += 1)));
    const { response, message } = await callModern(client(), 'server/discover');
    expect([response.status, message.error?.code, closes]).toEqual([400, -32022, 1]);
    expect(log.matching(/./, 'error')).toEqual([]);
  });

  test('serves requests and notifications of 2026-07-28', async () => {
    let closes = 0;
    class Closing extends Server {
      override close(): Promise<void> {
        closes += 1;
        void super.close();
        return undefined as never;
      }
    }
    const { client, endpoint, log } = await serve(
      () => new Closing({ name: 'v2', version: '1' }, {}),
    );
    const one = client();
    expect((await callModern(one, 'server/discover')).response.status).toBe(200);
    expect((await ERAS['2026-07-28']?.notify(one))?.status).toBe(202);
    await until(() => closes > 0);
    await endpoint.close({ timeoutMs: 0 });
    expect(log.matching(/./, 'error')).toEqual([]);
  });

  test('a close() that throws at once is one line in the log', async () => {
    const factory = (): ConnectableServer => {
      const server = around(() => {})();
      server.close = () => {
        throw new Error('closes badly');
      };
      return server;
    };
    const { client, log } = await serve(factory, { sessionMode: 'stateless' });
    const { response, message } = await client().call(...tool('hello'));
    expect([response.status, textOf(message)]).toEqual([200, 'hello']);
    await until(() => log.matching(/could not be closed/, 'warn').length === 1);
  });
});
