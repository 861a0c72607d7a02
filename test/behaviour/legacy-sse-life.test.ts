/** A session of the 2024-11-05 transport: what it can do, how long it lives, and how it ends. */
import { connect } from 'node:net';
import type { Transport } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import type { ConnectableServer, LeaveReason } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { perSession } from '../kit/making-servers.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { connectSse, handshake, openSse } from '../kit/legacy-sse.ts';
import { toolCall } from '../kit/lab.ts';
import { faces, serve } from '../kit/serve.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

const legacySse = true;

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
  expect(endpoint.sessions.count).toBe(0);
  expect((await streamable.call('ping')).response.status).toBe(404);
  await old.post(toolCall(1, 'echo', { text: 'still here' }));
  expect(await old.stream.nextMessage()).toMatchObject({ id: 1, result: {} });
});

/** A tool that waits for the end of its request. */
const wait: Tool = (_, { mcpReq }) =>
  new Promise((resolve) => mcpReq.signal.addEventListener('abort', () => resolve(said('aborted'))));
const waiting = toolServer({ wait });

test('B173 a call of such a session writes nothing into a store that other processes share', async () => {
  const store = watchedStore({ durable: true, inProcess: false });
  const { client } = await serve(createEchoServer, { legacySse, store });
  const { stream, post } = await openSse(client());
  await post(toolCall(1, 'echo', { text: 'hi' }));
  expect(await stream.nextMessage()).toMatchObject({ id: 1, result: { content: [{ text: 'hi' }] } });
  expect(store.calls.filter(({ call }) => call.startsWith('sessions.'))).toEqual([]);
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
  await endpoint.close();
  expect((await busy.stream.untilEnd()).at(-1)?.message).toMatchObject({
    id: 1,
    error: { code: -32000, data: { reason: 'closed' } },
  });
  for (const { stream } of [busy, quiet, unopened]) expect(await stream.ended).toBe('complete');
});

test('B177 no version brings ids, and Last-Event-ID finds nothing', async () => {
  const { client } = await serve(createEchoServer, { legacySse });
  const raw = client();
  const { stream, post } = await openSse(raw, '/mcp/sse', '2025-11-25');
  await post(toolCall(1, 'echo', { text: 'hi' }));
  await stream.nextMessage();
  expect(stream.events.map((event) => Object.keys(event).filter((key) => key !== 'message'))).toEqual([
    ['event', 'data'],
    ['event', 'data'],
    ['event', 'data'],
  ]);
  const again = await raw.get({ path: '/mcp/sse', lastEventId: '1' });
  expect(await again.next()).toMatchObject({ event: 'endpoint' });
});

/** A server of one's own: `answer` says what it answers to the nth `initialize`. */
function createOwnServer(answer: (n: number) => object | Promise<object>, onClose: () => void = () => {}) {
  let handshakes = 0;
  return (): ConnectableServer => ({
    connect: async (transport: Transport) => {
      transport.onmessage = (message) => {
        if (!('id' in message) || !('method' in message)) return;
        void Promise.resolve(answer(++handshakes)).then((outcome) =>
          transport.send({ jsonrpc: '2.0', id: message.id, ...outcome } as never),
        );
      };
    },
    close: async () => onClose(),
  });
}

const agreed = {
  result: { protocolVersion: '2024-11-05', capabilities: {}, serverInfo: { name: 'own', version: '1' } },
};

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
  ['does not answer', new Promise<object>(() => {}), { error: { data: { reason: 'hook_timeout' } } }],
])('B173 a handshake that the server %s leaves no session, and may be tried again', async (_, outcome, told) => {
  let closed = 0;
  const own = createOwnServer(
    (n) => (n === 1 ? outcome : agreed),
    () => (closed += 1),
  );
  const { client } = await serve(perSession(own), { legacySse, hookTimeoutMs: 500 });
  const { stream, post } = await connectSse(client(), '/mcp/sse');
  expect((await post(handshake(1))).status).toBe(202);
  expect(await stream.nextMessage()).toMatchObject({ jsonrpc: '2.0', id: 1, ...told });
  await until(() => closed === 1);
  expect((await post({ jsonrpc: '2.0', id: 2, method: 'ping' })).status).toBe(400);
  await post(handshake(3));
  expect(await stream.nextMessage()).toEqual({ jsonrpc: '2.0', id: 3, ...agreed });
});

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
  const { client } = await serve(perSession(own), { legacySse });
  const { stream, post } = await connectSse(client(), '/mcp/sse');
  await post(handshake(1));
  await until(() => asked);
  stream.abort();
  await until(() => closed);
});

test.each(faces)('B173 a call whose body arrives after the end of its session does not run, over %s', async (face) => {
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
  const fields = ['Host: localhost', 'Content-Type: application/json', `Content-Length: ${body.length}`];
  socket.write(`POST ${endpoint} HTTP/1.1\r\n${fields.join('\r\n')}\r\nExpect: 100-continue\r\n\r\n`);
  await until(() => read.includes('100 Continue'));
  stream.abort();
  await until(async () => (await post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status === 400);
  socket.write(body);
  await until(() => /HTTP\/1\.1 [24]/.test(read));
  expect(read).toContain('HTTP/1.1 400 Bad Request');
  expect(read).toContain('Session not found');
  expect(ran).toBe(0);
});
