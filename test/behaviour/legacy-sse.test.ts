/**
 * The 2024-11-05 transport: a GET that is the session, and POSTs answered on it. What such a session can do, how long it
 * lives, and how it ends.
 */
import { connect } from 'node:net';
import type { Transport } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemTime } from '../../src/base/system.ts';
import { storeUnavailable } from '../../src/base/errors.ts';
import type { ConnectableServer, LeaveReason } from '../../src/index.ts';
import { SWEEP_MS } from '../../src/session/life/sweep.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { perSession } from '../kit/making-servers.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { connectSse, handshake, openSse } from '../kit/legacy-sse.ts';
import { toolCall } from '../kit/lab.ts';
import { faces, serve, userHeader } from '../kit/serve.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { turns, until } from '../kit/until.ts';
import { cut, mend, watchedStore } from '../kit/watched-store.ts';

const legacySse = true;
test.each(['stateful', 'hybrid', 'stateless'] as const)(
  'B89 B169 the transport is there only where it was asked for, in %s',
  async (sessionMode) => {
    const client = (await serve(createEchoServer, { sessionMode })).client();
    for (const path of ['/sse', '/mcp/sse']) expect((await client.get({ path })).status).toBe(404);
    for (const path of ['/message?sessionId=1', '/mcp/message?sessionId=1']) {
      expect((await client.post(handshake(1), { path })).status).toBe(404);
    }
  },
);

describe.each(['listen', ...faces] as const)('over %s', (face) => {
  const start = async () => (await serve(createEchoServer, { legacySse }, { face })).client();

  test('B170 the first event says where messages go', async () => {
    const stream = await (await start()).get({ path: '/mcp/sse' });
    await stream.next();
    expect(stream.status).toBe(200);
    expect(stream.header('content-type')).toBe('text/event-stream');
    expect(stream.header('cache-control')).toBe('no-cache,no-store,no-transform');
    expect(stream.header('content-encoding')).toBe('identity');
    expect(stream.header('x-accel-buffering')).toBe('no');
    expect(stream.header('mcp-session-id')).toBeUndefined();
    expect(stream.body).toMatch(/^event: endpoint\ndata: message\?sessionId=[\w-]{22}\n\n$/);
  });

  test('B171 a message is accepted, and answered on the stream', async () => {
    const { stream, post } = await connectSse(await start(), '/mcp/sse');
    const accepted = await post(handshake(7));
    expect([accepted.status, accepted.header('content-type'), accepted.body]).toEqual([
      202,
      'text/plain; charset=utf-8',
      'Accepted',
    ]);
    const answer = await stream.next();
    expect(answer).toMatchObject({
      event: 'message',
      message: {
        jsonrpc: '2.0',
        id: 7,
        result: { protocolVersion: '2024-11-05', serverInfo: { name: 'echo' } },
      },
    });
    await post(toolCall(8, 'echo', { text: 'hi' }));
    expect(await stream.nextMessage()).toEqual({
      jsonrpc: '2.0',
      id: 8,
      result: { content: [{ type: 'text', text: 'hi' }] },
    });
  });

  test.each([
    ['no session', '/mcp/message', handshake(1), 'Missing sessionId parameter'],
    [
      'no session it knows',
      '/mcp/message?sessionId=unknown',
      handshake(1),
      'Session not found: open GET /sse first',
    ],
  ])('B172 a message that names %s is refused', async (_, path, message, text) => {
    const response = await (await start()).post(message, { path });
    expect([response.status, response.header('content-type'), response.body]).toEqual([
      400,
      'text/plain; charset=utf-8',
      text,
    ]);
  });

  test.each([
    ['null', 'null'],
    ['no JSON', '{"jsonrpc":'],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['a batch', [handshake(1)]],
    ['nothing', ''],
  ])('B172 B208 a body that is %s is refused', async (_, body) => {
    const { stream, post } = await connectSse(await start(), '/mcp/sse');
    const response = await post(body);
    expect([response.status, response.header('content-type')]).toEqual([
      400,
      'text/plain; charset=utf-8',
    ]);
    expect(response.body).toMatch(/^Invalid message: /);
    // And changes nothing.
    await post(handshake(1));
    expect(await stream.nextMessage()).toMatchObject({ id: 1, result: {} });
  });
});

describe('mounted', () => {
  test.each([
    ['/api/v1/mcp', '/api/v1/mcp/sse', '/api/v1/mcp/message'],
    ['/mcp', '/mcp/sse/', '/mcp/message'],
    ['/mcp', '/sse', '/message'],
    ['/mcp', '/mcp/sse?tenant=1', '/mcp/message'],
  ])('B170 mounted at %s, GET %s leads to %s', async (path, get, message) => {
    const client = (await serve(createEchoServer, { legacySse }, { path })).client();
    const { endpoint, stream, post } = await connectSse(client, get);
    expect(endpoint.split('?')[0]).toBe(message);
    expect((await post(handshake(1))).status).toBe(202);
    expect(await stream.nextMessage()).toMatchObject({ id: 1, result: {} });
  });
});

test('B170 the address of messages holds behind a proxy that strips or renames a prefix', async () => {
  const client = (await serve(createEchoServer, { legacySse })).client();
  const { data } = await connectSse(client, '/mcp/sse');
  for (const seen of ['https://a.example/sse', 'https://a.example/tools/of/bob/sse'])
    expect(new URL(data, seen).href).toContain(seen.replace(/sse$/, 'message?sessionId='));
});

test.each(faces)('B172 a message of another user is refused, over %s', async (face) => {
  const { client: make } = await serve(createEchoServer, { legacySse }, { face, auth: userHeader });
  const client = make();
  const alice = { headers: { 'x-user': 'alice' } };
  const { stream, post } = await connectSse(client, '/mcp/sse', alice);
  for (const headers of [{ 'x-user': 'bob' }, { 'x-user': null }]) {
    const response = await post(handshake(1), { headers });
    expect(response.status).toBe(403);
    expect(response.json()).toMatchObject({ error: { code: -32000, data: { reason: 'user' } } });
  }
  expect((await post(handshake(2))).status).toBe(202);
  expect(await stream.nextMessage()).toMatchObject({ id: 2, result: {} });
});

test('B173 no idle timeout and no idle limit end it', async () => {
  const time = createFakeTime();
  const { client, openSession, endpoint } = await serve(createEchoServer, {
    legacySse,
    timeProvider: time,
    idleTimeoutMs: 60_000,
    maxIdleSessionCount: 1,
  });
  const old = await openSse(client());
  const streamable = await openSession();
  await time.advance(120_000);
  expect(endpoint.sessions.liveCount).toBe(1);
  expect((await streamable.call('ping')).response.status).toBe(404);
  await old.post(toolCall(1, 'echo', { text: 'still here' }));
  expect(await old.stream.nextMessage()).toMatchObject({ id: 1, result: {} });
});

/** A tool that waits for the end of its request. */
const wait: Tool = (_, { mcpReq }) =>
  new Promise((resolve) => mcpReq.signal.addEventListener('abort', () => resolve(said('aborted'))));
const waiting = toolServer({ wait });

test('B173 a call of such a session writes nothing into a store that other processes share', async () => {
  const store = watchedStore({ durable: true });
  const { client } = await serve(createEchoServer, { legacySse, store });
  const { stream, post } = await openSse(client());
  const written = () => store.calls.filter(({ call }) => call.startsWith('sessions.'));
  const before = written();
  await post(toolCall(1, 'echo', { text: 'hi' }));
  expect(await stream.nextMessage()).toMatchObject({
    id: 1,
    result: { content: [{ text: 'hi' }] },
  });
  expect(written()).toEqual(before);
});

test('B175 the hooks run once per session, and see its end', async () => {
  const seen: unknown[] = [];
  const { client } = await serve(waiting, {
    legacySse,
    configureSessionOptions: (request, options) => {
      seen.push(['options', new URL(request.url).pathname]);
      options.instructions = 'Speak slowly';
    },
    runSessionHandler: async (_, session, run) => {
      seen.push(['run', session.clientInfo.name]);
      const reason: LeaveReason = await run();
      seen.push(['left', reason]);
    },
  });
  const { stream, post } = await connectSse(client(), '/mcp/sse');
  expect(seen).toEqual([]);
  await post(handshake(1));
  expect(await stream.nextMessage()).toMatchObject({ result: { instructions: 'Speak slowly' } });
  await post({ jsonrpc: '2.0', id: 2, method: 'ping' });
  await stream.nextMessage();
  stream.abort();
  await until(() => seen.length === 3);
  expect(seen).toEqual([
    ['options', '/mcp/sse'],
    ['run', 'old'],
    ['left', 'deleted'],
  ]);
});

test('B176 a shutdown answers what runs, and ends every connection at once and cleanly', async () => {
  // The clock does not move: nothing waits for a grace to pass.
  const { client, endpoint } = await serve(waiting, { legacySse, timeProvider: createFakeTime() });
  const busy = await openSse(client());
  const quiet = await openSse(client());
  const unopened = await connectSse(client(), '/mcp/sse');
  await busy.post(toolCall(1, 'wait'));
  await endpoint.close({ timeoutMs: 0 });
  expect((await busy.stream.untilEnd()).at(-1)?.message).toMatchObject({
    id: 1,
    error: { code: -32000, data: { reason: 'endpoint_closed' } },
  });
  for (const { stream } of [busy, quiet, unopened]) expect(await stream.ended).toBe('complete');
});

test('B176 a drain waits for what runs, ends every connection cleanly, and leaves no session in the store', async () => {
  const [a, b] = await serveFleet(2, { legacySse });
  const busy = await openSse(a.client());
  const quiet = await openSse(a.client());
  const unopened = await connectSse(a.client(), '/mcp/sse');
  await busy.post(toolCall(1, 'hold'));
  const call = await a.lab.held();
  const drained = a.endpoint.drain();
  expect(await quiet.stream.ended).toBe('complete');
  call.answer('done');
  expect(await busy.stream.nextMessage()).toMatchObject({ id: 1, result: said('done') });
  expect(await busy.stream.ended).toBe('complete');
  await drained;
  expect(await unopened.stream.ended).toBe('complete');
  await until(async () => (await b.endpoint.sessions.list()).sessions.length === 0);
});

test('a session ends whose connection closed while the store was away', async () => {
  const store = watchedStore({ durable: true });
  const { client, endpoint } = await serve(createEchoServer, { legacySse, store, leaseMs: 300 });
  const away = () => {
    throw storeUnavailable('away');
  };
  for (const failing of [
    ['sessions.end'],
    ['sessions.end', 'instances.renew', 'instances.announce'],
  ] as const) {
    const { stream } = await openSse(client());
    for (const call of failing) store.before[call] = away;
    if (failing.length > 1) await until(() => endpoint.health().state === 'lapsed');
    const ends = store.calls.length;
    stream.abort();
    await until(
      () =>
        failing.length > 1 || store.calls.slice(ends).some(({ call }) => call === 'sessions.end'),
    );
    await turns();
    for (const call of failing) delete store.before[call];
    await until(
      async () =>
        (await endpoint.sessions.list()).sessions.length === 0 && endpoint.sessions.liveCount === 0,
    );
  }
});

test('a session whose connection closed in an outage longer than maxWaitMs is idle from then on', async () => {
  const store = watchedStore({ durable: true });
  const options = {
    legacySse,
    store,
    leaseMs: 300,
    maxWaitMs: 200,
    idleTimeoutMs: 1_000,
    metrics: true,
  };
  const sooner = (fn: () => void, ms: number) =>
    systemTime.setTimeout(fn, ms === SWEEP_MS ? 100 : ms);
  const timeProvider = { ...systemTime, setTimeout: sooner };
  const { client, endpoint } = await serve(createEchoServer, { ...options, timeProvider });
  const { stream } = await openSse(client());
  cut(store, 'instances.renew', 'instances.announce');
  await until(() => endpoint.health().state === 'lapsed');
  stream.abort();
  for (const waiting of [1, 0])
    await until(() => endpoint.metrics().includes(`sojourn_waiting_requests ${waiting}\n`));
  mend(store);
  await until(() => endpoint.sessions.liveCount === 0);
});

test('a GET may name another version than its handshake negotiates', async () => {
  const { client } = await serve(createEchoServer, { legacySse });
  const named = { headers: { 'mcp-protocol-version': '2025-06-18' } };
  const { stream, post } = await connectSse(client(), '/mcp/sse', named);
  await post(handshake(0), { headers: { 'mcp-protocol-version': null } });
  expect(await stream.nextMessage()).toMatchObject({
    id: 0,
    result: { protocolVersion: '2024-11-05' },
  });
  await post(toolCall(1, 'echo', { text: 'hi' }), {
    headers: { 'mcp-protocol-version': '2024-11-05' },
  });
  expect(await stream.nextMessage()).toMatchObject({ id: 1, result: said('hi') });
});

test('B177 no version brings ids, and Last-Event-ID finds nothing', async () => {
  const { client } = await serve(createEchoServer, { legacySse });
  const raw = client();
  const { stream, post } = await openSse(raw, '/mcp/sse', '2025-11-25');
  await post(toolCall(1, 'echo', { text: 'hi' }));
  await stream.nextMessage();
  expect(
    stream.events.map((event) => Object.keys(event).filter((key) => key !== 'message')),
  ).toEqual([
    ['event', 'data'],
    ['event', 'data'],
    ['event', 'data'],
  ]);
  const again = await raw.get({ path: '/mcp/sse', lastEventId: '1' });
  expect(await again.next()).toMatchObject({ event: 'endpoint' });
});

/** A server of one's own: `answer` says what it answers to `initialize`. */
function createOwnServer(answer: () => object | Promise<object>, onClose: () => void) {
  return (): ConnectableServer => ({
    connect: async (transport: Transport) => {
      transport.onmessage = (message) => {
        if (!('id' in message) || !('method' in message)) return;
        void Promise.resolve(answer()).then((outcome) =>
          transport.send({ jsonrpc: '2.0', id: message.id, ...outcome } as never),
        );
      };
    },
    close: async () => onClose(),
  });
}

test('B175 a request that is refused gets its error on the stream, which clients survive', async () => {
  const { client } = await serve(createEchoServer, { legacySse });
  const { stream, post } = await openSse(client());
  const params = { uri: `note://${'x'.repeat(10_000)}` };
  const refused = await post({ jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params });
  expect([refused.status, refused.header('sojourn-refused')]).toEqual([202, 'invalid_request']);
  expect(await stream.nextMessage()).toMatchObject({ id: 2, error: { code: -32600 } });
});

const refused = { error: { code: -32602, message: 'Not you' } };
test.each([
  ['refuses', refused, refused],
  [
    'does not answer',
    new Promise<object>(() => {}),
    { error: { data: { reason: 'hook_timeout' } } },
  ],
])(
  'B173 a handshake that the server %s leaves no session, and ends the connection',
  async (_, outcome, told) => {
    let closed = 0;
    const own = createOwnServer(
      () => outcome,
      () => (closed += 1),
    );
    const { client, endpoint } = await serve(perSession(own), { legacySse, hookTimeoutMs: 500 });
    const { stream, post } = await connectSse(client(), '/mcp/sse');
    expect((await post(handshake(1))).status).toBe(202);
    expect(await stream.nextMessage()).toMatchObject({ jsonrpc: '2.0', id: 1, ...told });
    await until(() => closed === 1);
    expect(await stream.ended).toBe('complete');
    expect((await post(handshake(2))).status).toBe(400);
    expect(endpoint.sessions.liveCount).toBe(0);
  },
);

test('B173 a client that leaves in the middle of its handshake leaves nothing behind', async () => {
  let asked = false;
  let closed = false;
  const own = createOwnServer(
    () => {
      asked = true;
      return new Promise(() => {});
    },
    () => (closed = true),
  );
  const { client } = await serve(perSession(own), { legacySse, hookTimeoutMs: 500 });
  const { stream, post } = await connectSse(client(), '/mcp/sse');
  await post(handshake(1));
  await until(() => asked);
  stream.abort();
  await until(() => closed);
});

test.each(faces)(
  'B173 a call whose body arrives after the end of its session does not run, over %s',
  async (face) => {
    let ran = 0;
    const factory = toolServer({ count: async () => said(String(++ran)) });
    const { client, port } = await serve(factory, { legacySse: true }, { face });
    const { stream, endpoint, post } = await connectSse(client(), '/mcp/sse');
    await post(handshake(0));
    await stream.nextMessage();
    const socket = connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    let read = '';
    socket.setEncoding('utf8').on('data', (text: string) => (read += text));
    const body = JSON.stringify(toolCall(1, 'count'));
    const fields = [
      'Host: localhost',
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    ];
    socket.write(
      `POST ${endpoint} HTTP/1.1\r\n${fields.join('\r\n')}\r\nExpect: 100-continue\r\n\r\n`,
    );
    await until(() => read.includes('100 Continue'));
    stream.abort();
    await until(
      async () =>
        (await post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status === 400,
    );
    socket.write(body);
    await until(() => /HTTP\/1\.1 [24]/.test(read));
    expect(read).toContain('HTTP/1.1 400 Bad Request');
    expect(read).toContain('Session not found');
    expect(ran).toBe(0);
  },
);
