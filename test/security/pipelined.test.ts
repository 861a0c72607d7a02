/**
 * Requests that a client sends on one connection without waiting for answers (HTTP pipelining). `node:http` reads on
 * and holds what is answered, so a client that reads nothing could make a process hold any amount: it is cut at 16 open
 * requests. `shapes.test.ts` sends many such connections to a process with a small heap.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { internalsOf } from '../../src/endpoint/internals.ts';
import { OPEN_REQUESTS } from '../../src/http/exchange.ts';
import { createLab } from '../kit/lab.ts';
import { type Face, serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import {
  BUDGET,
  expectEmptyBudget,
  rawRequest,
  rpcBytes,
  sessionHeaders,
  workServer,
} from './aborts.ts';

/** A connection that sends what it is given, and keeps what it reads. */
function pipe(port: number) {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  onTestFinished(() => void socket.destroy());
  const read = { text: '', closed: false };
  socket.setEncoding('utf8').on('data', (text: string) => (read.text += text));
  socket.on('close', () => (read.closed = true));
  return { read, send: (bytes: string) => void socket.write(bytes), socket };
}

const idsIn = (text: string): number[] =>
  [...text.matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id));

const STATELESS = { sessionMode: 'stateless' } as const;
const work = (how: string) => ({ name: 'work', arguments: { how } });
const version = { 'mcp-protocol-version': '2025-11-25' };

const UP_TO = Array.from({ length: OPEN_REQUESTS }, (_, at) => at + 1);

test('a GET behind a call on its connection opens its stream when the call is answered', async () => {
  const lab = createLab();
  const { openSession, port } = await serve(lab.factory);
  const headers = sessionHeaders(await openSession());
  const { send, read } = pipe(port);
  send(rpcBytes(headers, 500, 'tools/call', { name: 'hold', arguments: {} }));
  const held = await lab.held();
  send(rawRequest('GET', headers));
  held.answer('now');
  await until(() => /"text":"now"[^]*HTTP\/1\.1 200 OK/.test(read.text));
  lab.made[0]?.server.sendToolListChanged();
  await until(() => read.text.includes('list_changed'));
});

test('a response that never gets a connection, as adapters make them, waits for nothing', async () => {
  const { factory, work: calls } = workServer({});
  const { endpoint } = await serve(factory, STATELESS);
  const socket = new Socket();
  onTestFinished(() => void socket.destroy());
  const req = new IncomingMessage(socket);
  Object.assign(req, { method: 'POST', url: '/mcp' });
  Object.assign(req.headers, {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  });
  const res = new ServerResponse(req);
  endpoint.node(req, res, { jsonrpc: '2.0', id: 1, method: 'tools/call', params: work('once') });
  await until(() => calls.over === 1 && res.writableEnded);
});

test.each([
  '/healthz',
  '/readyz',
  '/elsewhere',
  '/.well-known/oauth-protected-resource/mcp',
  '/dashboard/',
  '/dashboard/api/fleet',
])('a connection with 17 open requests of %s is cut', async (path) => {
  const metadata = {
    resource: 'https://mcp.example/mcp',
    authorization_servers: ['https://id.example'],
  };
  const { endpoint, port } = await serve(createLab().factory, {
    auth: { verify: () => undefined, metadata },
  });
  // As `sojourn serve --dashboard` serves it.
  const dashboard = {
    path: '/dashboard',
    serve: endpoint.dashboard({ token: 'a-token-of-sixteen' }).node,
  };
  Object.assign(internalsOf(endpoint) ?? {}, { beside: dashboard });
  const { send, read } = pipe(port);
  send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`.repeat(400));
  await until(() => read.closed);
  expect(read.text.split('HTTP/1.1 ').length - 1).toBeLessThanOrEqual(OPEN_REQUESTS);
  const inTurn = pipe(port);
  for (let sent = 1; sent <= 2 * OPEN_REQUESTS; sent += 1) {
    inTurn.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    await until(() => inTurn.read.text.split('HTTP/1.1 ').length - 1 === sent);
  }
  expect(inTurn.read.closed).toBe(false);
});

describe.each<Face>(['listen', 'node', 'fetch'])('%s', (face) => {
  test('a connection with 17 open requests is cut: its calls end, and other connections are served', async () => {
    const { factory, work: calls } = workServer({});
    const { port, log } = await serve(
      factory,
      { ...STATELESS, limits: { memoryBytes: 64 * BUDGET } },
      { face },
    );
    const { send, read } = pipe(port);
    // `node:http` closes only the response that has the connection, and adapters abort the signal of its request alone.
    send(UP_TO.map((id) => rpcBytes(version, id, 'tools/call', work('hang'))).join(''));
    await until(() => calls.hanging.size === OPEN_REQUESTS);
    send(
      Array.from({ length: 400 }, (_, at) =>
        rpcBytes(version, at + 100, 'tools/call', work('once')),
      ).join(''),
    );
    await until(() => read.closed);
    await expectEmptyBudget([port], {}, calls);
    expect(calls.begun).toBe(OPEN_REQUESTS);
    expect(log.matching(/more than 16 open requests/, 'warn')).toHaveLength(1);
  });

  test('a connection that waits for 16 answers may send any number of requests, and is answered in their order', async () => {
    const { factory, work: calls } = workServer({});
    const { port } = await serve(
      factory,
      { ...STATELESS, limits: { memoryBytes: BUDGET, userShare: 1 } },
      { face },
    );
    const { send, read } = pipe(port);
    const sent: number[] = [];
    for (const round of [0, 100, 200]) {
      const ids = UP_TO.map((id) => round + id);
      sent.push(...ids);
      send(ids.map((id) => rpcBytes(version, id, 'tools/call', work('later'))).join(''));
      await until(() => idsIn(read.text).length === sent.length);
    }
    expect(idsIn(read.text)).toEqual(sent);
    await expectEmptyBudget([port], {}, calls);
    expect(read.closed).toBe(false);
  });
});
