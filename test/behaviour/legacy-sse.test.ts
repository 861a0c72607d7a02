/** The 2024-11-05 transport on the wire: a GET that is the session, and POSTs answered on it. */
import { describe, expect, test } from 'vitest';
import { createEchoServer } from '../kit/echo-server.ts';
import { connectSse, handshake } from '../kit/legacy-sse.ts';
import { toolCall } from '../kit/lab.ts';
import { faces, serve, userHeader } from '../kit/serve.ts';

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
    expect(stream.body).toMatch(/^event: endpoint\ndata: \/mcp\/message\?sessionId=[\w-]{22}\n\n$/);
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
      message: { jsonrpc: '2.0', id: 7, result: { protocolVersion: '2024-11-05', serverInfo: { name: 'echo' } } },
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
    ['no session it knows', '/mcp/message?sessionId=unknown', handshake(1), 'Session not found: open GET /sse first'],
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
    expect([response.status, response.header('content-type')]).toEqual([400, 'text/plain; charset=utf-8']);
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
