// @module-tag per-session
/**
 * How a session ends: by DELETE, with its endpoint, and in which order. A session that ended stays ended: on every
 * instance, for every late comer.
 */
import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import {
  createMcpEndpoint,
  currentSession,
  type LeaveReason,
  type McpEndpointOptions,
} from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { createLab, tool, toolCall } from '../kit/lab.ts';
import { clientBehind } from '../kit/listening.ts';
import { createLog, hashOf } from '../kit/log.ts';
import { createHandler, HANDSHAKE } from '../kit/migrating.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { failure, NOT_FOUND } from '../kit/refusals.ts';
import { serve, type Served } from '../kit/serve.ts';
import { inLab, perFace, session } from '../kit/sessions.ts';
import { heldTool, said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate } from '../kit/watched-store.ts';

const VERSIONS = ['2025-03-26', '2025-06-18', '2025-11-25'];

/** A run hook that comes back only when it is let go. */
function slowRun() {
  const { hook, open: finish } = gate();
  const reasons: string[] = [];
  const handler = async (_request: unknown, _session: unknown, run: () => Promise<LeaveReason>) => {
    reasons.push(await run());
    await hook();
  };
  return { handler, reasons, finish };
}

/** Calls under way when DELETE comes: their POSTs. */
const two = [toolCall(1, 'hold'), toolCall(2, 'hold')];
const RUNNING: Array<[string, string, McpEndpointOptions, object[]]> = [
  ...VERSIONS.map((version): [string, string, object, object[]] => [
    `two POSTs of ${version}`,
    version,
    {},
    two,
  ]),
  [
    "a POST with responseMode 'json'",
    '2025-11-25',
    { responseMode: 'json' },
    [toolCall(1, 'hold')],
  ],
  ['a batch of three', '2025-03-26', {}, [[...two, toolCall(3, 'hold')]]],
];

describe.each(perFace)('$face', ({ serve, session }) => {
  test.each(VERSIONS)(
    'B48 DELETE ends the GET stream cleanly, without another byte (%s)',
    async (protocolVersion) => {
      const { one } = await session(createEchoServer, {}, { protocolVersion });
      const get = await one.get();
      if (protocolVersion === '2025-11-25') await get.next();
      const before = get.body;
      await one.delete();
      await get.untilEnd();
      expect(get.ending).toBe('complete');
      expect(get.body).toBe(before);
    },
  );

  test.each(RUNNING)(
    'B49 DELETE aborts what runs: %s',
    async (_, protocolVersion, options, posts) => {
      const held = heldTool();
      const { one } = await session(toolServer({ hold: held.tool }), options, { protocolVersion });
      const sent = posts.map((post) => one.post(post));
      const ids = posts.flat().map((_call, n) => n + 1);
      await until(() => held.calls.length === ids.length);
      expect((await one.delete()).status).toBe(200);
      expect(held.calls.map(({ mcpReq }) => mcpReq.signal.aborted)).toEqual(ids.map(() => true));
      const responses = await Promise.all(sent);
      await Promise.all(responses.map((response) => response.ended));
      const answers = responses.flatMap((response) =>
        response.sse ? response.messages : [response.json()],
      );
      const data = { reason: 'session_ended', mayHaveRun: true };
      expect(answers).toEqual(ids.map((id) => failure(id, -32000, expect.any(String), data)));
      expect(responses.map(({ ending }) => ending)).toEqual(posts.map(() => 'complete'));
    },
  );

  test('B50 DELETE without a session id is 400, with an unknown one 404; no migration handler is asked', async () => {
    const { handler: sessionMigrationHandler, asked } = createHandler();
    const client = (await serve(createEchoServer, { sessionMigrationHandler })).client();
    const missing = await client.delete();
    expect(missing.status).toBe(400);
    expect(missing.json()).toMatchObject({
      id: null,
      error: {
        code: -32000,
        message: expect.stringContaining('DELETE needs the Mcp-Session-Id header'),
      },
    });
    const unknown = await client.delete({ sessionId: 'some-other-session' });
    expect(unknown.status).toBe(404);
    expect(unknown.json()).toEqual(NOT_FOUND);
    expect(asked).toEqual([]);
    await client.get({ sessionId: 'some-other-session' });
    expect(asked).toEqual(['some-other-session']); // it is there, and others do ask it
  });

  test.each(['the run handler', 'the server'])(
    'B52 DELETE is answered after the end of both, %s last',
    async (last) => {
      const steps: string[] = [];
      const handler = gate();
      const closing = gate();
      const factory = toolServer({}, (server) => {
        const close = server.close.bind(server);
        server.close = async () => {
          steps.push('closing');
          await closing.hook();
          await close();
          steps.push('closed');
        };
      });
      const runSessionHandler = async (
        _request: unknown,
        _session: unknown,
        run: () => Promise<LeaveReason>,
      ) => {
        steps.push(`run: ${await run()}`);
        await handler.hook();
        steps.push('handler is back');
      };
      const { openSession } = await serve(factory, { runSessionHandler });
      const [raw, other] = [await openSession(), await openSession()];
      const deleted = raw.delete().then(({ status }) => steps.push(`answered ${status}`));
      await until(() => steps.length === 2);
      expect(steps).toEqual(['run: deleted', 'closing']);
      const [first, second] = last === 'the server' ? [handler, closing] : [closing, handler];
      first.open();
      await until(() => steps.length === 3);
      await other.call('ping'); // time enough for an answer to arrive
      expect(steps).toHaveLength(3);
      second.open();
      await deleted;
      expect(steps.slice(2, 4).sort()).toEqual(['closed', 'handler is back']);
      expect(steps[4]).toBe('answered 200');
      await other.delete();
    },
  );

  test('B52 two DELETEs at once are both answered, and the session ends once', async () => {
    const ended: string[] = [];
    const onSessionEnded = (id: string, reason: string): void => void ended.push(`${id} ${reason}`);
    const options = {
      sessionMigrationHandler: { allowSessionMigration: () => null, onSessionEnded },
    };
    const { one } = await session(createEchoServer, options);
    const statuses = (await Promise.all([one.delete(), one.delete(), one.delete()]))
      .map(({ status }) => status)
      .sort();
    expect(statuses[0]).toBe(200);
    for (const status of statuses) expect([200, 404]).toContain(status);
    expect(ended).toEqual([`${one.sessionId} deleted`]);
  });
});

describe('B66 close()', () => {
  test('B45 ends every session: running requests get an error, GETs end, servers close', async () => {
    const lab = createLab();
    const { endpoint, openSession } = await serve(lab.factory);
    const [running, reading] = [await openSession(), await openSession()];
    await openSession(); // stays idle
    const stream = await reading.get();
    const called = running.call(...tool('hold'));
    const { ctx } = await lab.held();
    await endpoint.close({ timeoutMs: 0 });
    expect(lab.made.map(({ closed }) => closed)).toEqual([true, true, true]);
    expect(endpoint.sessions.liveCount).toBe(0);
    expect(ctx.mcpReq.signal.aborted).toBe(true);
    expect((await called).message.error).toMatchObject({
      code: -32000,
      data: { reason: 'endpoint_closed' },
    });
    await stream.untilEnd();
    expect(stream.ending).toBe('complete');
  });

  test('waits for the sessions to be disposed of', async () => {
    const run = slowRun();
    const { endpoint, client } = await serve(createLab().factory, {
      runSessionHandler: run.handler,
    });
    await client().initialize();
    let closed = false;
    const closing = endpoint.close({ timeoutMs: 0 }).then(() => (closed = true));
    await until(() => run.reasons.length === 1);
    await new Promise((turn) => setImmediate(turn));
    expect(closed).toBe(false);
    run.finish();
    await closing;
  });

  test('logs what fails in one session and closes the others', async () => {
    const lab = createLab();
    const { endpoint, openSession, log } = await serve((ctx) => {
      const server = lab.factory(ctx);
      if (lab.made.length === 1) server.close = () => Promise.reject(new Error('no way'));
      return server;
    });
    const one = await openSession();
    await openSession();
    await endpoint.close({ timeoutMs: 0 });
    expect(lab.made[1]?.closed).toBe(true);
    expect(
      log.matching(/could not be closed/, 'warn').map(({ fields }) => fields['sessionId']),
    ).toEqual([hashOf(one.sessionId)]);
  });

  test('catches a session that was still being opened', async () => {
    const lab = createLab();
    const making = gate();
    const { endpoint, client } = await serve(async (ctx) => {
      await making.hook();
      return lab.factory(ctx);
    });
    const opening = client().initialize();
    await until(() => making.waiting === 1);
    const closing = endpoint.close({ timeoutMs: 0 });
    making.open();
    const { response, message } = await opening;
    await closing;
    expect(response.status).toBe(503);
    expect(message.error).toMatchObject({ code: -32000, data: { reason: 'endpoint_closed' } });
    await until(() => lab.made[0]?.closed === true, {
      what: 'the server that came too late is closed',
    });
    expect(endpoint.sessions.liveCount).toBe(0);
  });
});

test('B67 a request that reaches a session while it is disposed of fails, and revives nothing', async () => {
  const run = slowRun();
  const { one, endpoint, lab } = await inLab({ runSessionHandler: run.handler });
  const deleting = one.delete();
  await until(() => run.reasons.length === 1);
  const late = [one.call('ping'), one.get(), one.delete()] as const;
  await new Promise((turn) => setImmediate(turn));
  run.finish();
  expect((await deleting).status).toBe(200);
  const [ping, get, again] = await Promise.all(late);
  expect([ping.response.status, get.status, again.status]).toEqual([404, 404, 404]);
  expect(ping.message.error?.code).toBe(-32001);
  expect(lab.made.length).toBe(1);
  expect(endpoint.sessions.liveCount).toBe(0);
});

test('B70 the order of an end: errors of running requests, GETs, signal, run(), server.close(), the answer to DELETE', async () => {
  const order: string[] = [];
  const lab = createLab();
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const server = lab.factory(ctx);
      const close = server.close.bind(server);
      server.close = () => {
        order.push('server.close()');
        return close();
      };
      ctx.session?.signal.addEventListener('abort', () => order.push('signal'));
      return server;
    },
    {
      logger: createLog(),
      runSessionHandler: async (_request, _session, run) => {
        order.push(`run() ${await run()}`);
      },
    },
  );
  const server = createServer((req, res) => {
    const end = res.end.bind(res);
    res.end = ((...args: []) => {
      if (req.method !== 'POST' || order.includes('watched')) order.push(`${req.method} ends`);
      return end(...args);
    }) as typeof res.end;
    endpoint.node(req, res);
  });
  const client = await clientBehind(server, endpoint, { path: '/' });
  await client.initialize();
  await client.get();
  const called = client.call(...tool('hold'));
  await lab.held();
  order.push('watched');
  expect((await client.delete()).status).toBe(200);
  expect(order).toEqual([
    'watched',
    'POST ends',
    'GET ends',
    'signal',
    'run() deleted',
    'server.close()',
    'DELETE ends',
  ]);
  expect((await called).message.error).toMatchObject({
    code: -32000,
    data: { reason: 'session_ended' },
  });
});

const IDLE_MS = 60_000;

/** Two instances on one store; the migration handler of both would accept every session. */
async function fleet(more: McpEndpointOptions = {}) {
  const timeProvider = createFakeTime();
  const store = memory();
  const asked: string[] = [];
  const allowSessionMigration = (_request: unknown, id: string) => {
    asked.push(id);
    return HANDSHAKE;
  };
  const sessionMigrationHandler = { allowSessionMigration };
  const options = { timeProvider, store, idleTimeoutMs: IDLE_MS, sessionMigrationHandler, ...more };
  const lab = createLab();
  const [one, two] = [await serve(lab.factory, options), await serve(createLab().factory, options)];
  return { timeProvider, asked, lab, one, two };
}

/** POST, GET and DELETE of this session find none. */
async function expectGone({ client }: Served, sessionId: string): Promise<void> {
  const visitor = client();
  const { response } = await visitor.call('ping', {}, { sessionId });
  for (const answer of [
    response,
    await visitor.get({ sessionId }),
    await visitor.delete({ sessionId }),
  ])
    expect([answer.status, answer.json()]).toEqual([404, NOT_FOUND]);
}

/** Each ends the session of `client`. */
const ENDS: Readonly<
  Record<string, (of: Awaited<ReturnType<typeof fleet>>, client: RawClient) => Promise<unknown>>
> = {
  'was deleted': async (_, client) => {
    const { status, body } = await client.delete();
    expect([status, body]).toEqual([200, '']);
  },
  'was deleted through the other instance': async ({ two }, { sessionId }) =>
    expect((await two.client().delete({ sessionId })).status).toBe(200),
  'was terminated': async ({ one, two }, { sessionId = '' }) => {
    expect(await two.endpoint.sessions.end(sessionId)).toBe(true);
    expect(await one.endpoint.sessions.end(sessionId)).toBe(false);
  },
  'was idle for too long': ({ timeProvider }) => timeProvider.advance(IDLE_MS + 5_000),
  'was one too many for the idle limit': ({ one }) => one.client().initialize(),
  'closed its server': async ({ one, lab }) => {
    await lab.made[0]?.server.close();
    await until(() => one.endpoint.sessions.liveCount === 0);
  },
};

test.each(Object.entries(ENDS))(
  'B47 B68 B216 a session that %s is 404 everywhere, no handler is asked, and its client opens another',
  async (why, end) => {
    const members = await fleet(why.endsWith('limit') ? { maxIdleSessionCount: 1 } : {});
    const { one, two, asked } = members;
    const client = await one.openSession();
    const { sessionId = '' } = client;
    expect((await two.client().call('ping', {}, { sessionId })).response.status).toBe(200);
    await end(members, client);
    for (const member of [one, two]) await expectGone(member, sessionId);
    expect(asked).toEqual([]);
    expect((await client.initialize()).response.status).toBe(200);
    expect(client.sessionId).not.toBe(sessionId);
  },
);

test('B216 after tombstoneMs the migration handler is asked again, and not before', async () => {
  const { one, asked, timeProvider } = await fleet({ tombstoneMs: 600_000 });
  const client = await one.openSession();
  const id = client.sessionId ?? '';
  await client.delete();
  // Another session keeps the sweep running.
  const other = await one.openSession();
  const pass = async (steps: number): Promise<void> => {
    for (let n = 0; n < steps; n++) {
      await timeProvider.advance(IDLE_MS - 10_000);
      await other.call('ping');
    }
  };
  await pass(9);
  await expectGone(one, id);
  expect(asked).toEqual([]);
  await pass(4);
  expect((await client.call('ping', {}, { sessionId: id })).response.status).toBe(200);
  expect(asked).toEqual([id]);
});

test('B216 no late write of a handler brings it back', async () => {
  const { tool: wait, calls, release } = heldTool();
  const outcomes: unknown[] = [];
  const write: Tool = async (args, ctx) => {
    const { state } = currentSession() ?? {};
    await wait(args, ctx);
    outcomes.push(await state?.set('late', true).catch((error: { code: string }) => error.code));
    return said('written');
  };
  const { one, endpoint } = await session(toolServer({ write }));
  const written = one.call('tools/call', { name: 'write', arguments: {} });
  await until(() => calls.length === 1);
  expect((await one.delete()).status).toBe(200);
  expect((await written).message.error).toMatchObject({ data: { reason: 'session_ended' } });
  release();
  await until(() => outcomes.length === 1);
  expect(outcomes).toEqual(['SESSION_GONE']);
  expect((await one.call('ping')).response.status).toBe(404);
  expect(await endpoint.sessions.get(one.sessionId ?? '')).toBeUndefined();
  expect(await endpoint.sessions.list()).toEqual({ sessions: [] });
});
