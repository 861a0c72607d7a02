/**
 * Requests that a client sends on one connection without waiting for answers (HTTP pipelining). `node:http` reads on
 * and holds what is answered, so a client that reads nothing could make a process hold any amount: it is cut at 16 open
 * requests. `shapes.test.ts` sends many such connections to a process with a small heap.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket } from 'node:net';
import express from 'express';
import { describe, expect, onTestFinished, test } from 'vitest';
import { OPEN_REQUESTS } from '../../src/http/exchange.ts';
import { createMcpEndpoint, type McpEndpointOptions } from '../../src/index.ts';
import { createLab } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { type Face, serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { BUDGET, expectEmptyBudget, modernBytes, rawRequest, rpcBytes, sessionHeaders, workServer } from './aborts.ts';
import { listening } from '../kit/listening.ts';

/** A connection that sends what it is given, and keeps what it reads. */
function pipe(port: number) {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  onTestFinished(() => void socket.destroy());
  const read = { text: '', closed: false };
  socket.setEncoding('utf8').on('data', (text: string) => (read.text += text));
  socket.on('close', () => (read.closed = true));
  return { read, send: (bytes: string) => void socket.write(bytes), socket };
}

const idsIn = (text: string): number[] => [...text.matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id));

// ——— who begins when ———

/** The faces of `node:http`. Resolves with the port. */
const FACES: Readonly<
  Record<string, (server: ReturnType<typeof workServer>['factory'], options: McpEndpointOptions) => Promise<number>>
> = {
  listen: async (server, options) => (await serve(server, options)).port,
  node: async (server, options) => (await serve(server, options, { face: 'node' })).port,
  express: async (server, options) => {
    const endpoint = createMcpEndpoint(server, { logger: createLog(), ...options });
    const app = express().use(express.json()).all('/mcp', endpoint.node);
    return Number(new URL(await listening(createServer(app), () => endpoint.close())).port);
  },
};

const STATELESS = { sessionMode: 'stateless' } as const;
const work = (how: string, more: object = {}) => ({ name: 'work', arguments: { how, ...more } });
const version = { 'mcp-protocol-version': '2025-11-25' };

const UP_TO = Array.from({ length: OPEN_REQUESTS }, (_, at) => at + 1);

describe.each(Object.keys(FACES))('%s', (face) => {
  test.each([
    ['on 2026-07-28', {}, (id: number, how: string) => modernBytes({}, id, work(how))],
    ['without a session', STATELESS, (id: number, how: string) => rpcBytes(version, id, 'tools/call', work(how))],
  ] as const)('16 open requests of one connection are answered in order, %s', async (_what, options, bytes) => {
    const { factory, work: calls } = workServer({});
    const port = await FACES[face]?.(factory, options);
    const { send, read } = pipe(port ?? 0);
    send(UP_TO.map((id) => bytes(id, id === 1 ? 'hang' : 'later')).join(''));
    await until(() => calls.hanging.size === 1);
    for (const end of calls.hanging) end();
    await until(() => idsIn(read.text).length === UP_TO.length);
    expect(idsIn(read.text)).toEqual(UP_TO);
    expect(read.closed).toBe(false);
  });
});

/** A session whose client sends more behind a call that holds. */
async function behindHold(options: McpEndpointOptions = {}) {
  const lab = createLab();
  const { openSession, port, endpoint, log } = await serve(lab.factory, options);
  const one = await openSession({ capabilities: { elicitation: { form: {} } } });
  return { lab, one, endpoint, log, headers: sessionHeaders(one), ...pipe(port) };
}

describe('behind a call on its connection', () => {
  test('the answer to its question begins at once', async () => {
    const { headers, send, read } = await behindHold();
    send(rpcBytes(headers, 500, 'tools/call', { name: 'ask', arguments: {} }));
    const asked = await until(() => /"id":"([^"]+)"/.exec(read.text) ?? undefined);
    const result = { action: 'accept', content: { colour: 'blue' } };
    send(rawRequest('POST', headers, { jsonrpc: '2.0', id: asked?.[1], result }));
    send(rpcBytes(headers, 501, 'ping', {}));
    await until(() => read.text.includes('"id":501'));
    expect(read.text).toMatch(/accept [^]*202 Accepted[^]*"id":501/);
  });

  test('the cancellation of the call begins at once', async () => {
    const { lab, headers, send } = await behindHold();
    send(rpcBytes(headers, 500, 'tools/call', { name: 'hold', arguments: {} }));
    const { ctx } = await lab.held();
    const params = { requestId: 500, reason: 'enough' };
    send(rawRequest('POST', headers, { jsonrpc: '2.0', method: 'notifications/cancelled', params }));
    await until(() => ctx.mcpReq.signal.aborted);
  });

  test('a DELETE ends the session', async () => {
    const { lab, headers, send, read, endpoint } = await behindHold();
    send(rpcBytes(headers, 500, 'tools/call', { name: 'hold', arguments: {} }));
    await lab.held();
    send(rawRequest('DELETE', headers));
    await until(() => endpoint.sessions.count === 0);
    await until(() => read.text.includes('session_ended'));
  });

  test('a GET opens its stream when the call is answered', async () => {
    const { lab, headers, send, read } = await behindHold();
    send(rpcBytes(headers, 500, 'tools/call', { name: 'hold', arguments: {} }));
    const held = await lab.held();
    send(rawRequest('GET', headers));
    held.answer('now');
    await until(() => /"text":"now"[^]*HTTP\/1\.1 200 OK/.test(read.text));
    lab.made[0]?.server.sendToolListChanged();
    await until(() => read.text.includes('list_changed'));
  });
});

test('a request behind another one runs in the context that middleware gave it', async () => {
  const context = new AsyncLocalStorage<string>();
  const endpoint = createMcpEndpoint(toolServer({ whose: async () => said(context.getStore() ?? 'none') }), {
    ...STATELESS,
    logger: createLog(),
  });
  const http = createServer((req, res) => context.run(String(req.headers['x-user']), () => endpoint.node(req, res)));
  const { send, read } = pipe(Number(new URL(await listening(http, () => endpoint.close())).port));
  const users = ['ada', 'bob', 'cy', 'di'];
  const call = { name: 'whose', arguments: {} };
  send(users.map((user, at) => rpcBytes({ ...version, 'x-user': user }, at, 'tools/call', call)).join(''));
  await until(() => idsIn(read.text).length === users.length);
  expect([...read.text.matchAll(/"text":"(\w+)"/g)].map(([, user]) => user)).toEqual(users);
});

test('a response that never gets a connection, as adapters make them, waits for nothing', async () => {
  const { factory, work: calls } = workServer({});
  const { endpoint } = await serve(factory, STATELESS);
  const socket = new Socket();
  onTestFinished(() => void socket.destroy());
  const req = new IncomingMessage(socket);
  Object.assign(req, { method: 'POST', url: '/mcp' });
  Object.assign(req.headers, { accept: 'application/json, text/event-stream', 'content-type': 'application/json' });
  const res = new ServerResponse(req);
  endpoint.node(req, res, { jsonrpc: '2.0', id: 1, method: 'tools/call', params: work('once') });
  await until(() => calls.over === 1 && res.writableEnded);
});

describe.each<Face>(['listen', 'node', 'fetch'])('%s', (face) => {
  test('a connection with 17 open requests is cut: its calls end, and other connections are served', async () => {
    const { factory, work: calls } = workServer({});
    const { port, log } = await serve(factory, { ...STATELESS, limits: { memoryBytes: 64 * BUDGET } }, { face });
    const { send, read } = pipe(port);
    send(rpcBytes(version, 1, 'tools/call', work('hang')));
    await until(() => calls.hanging.size === 1);
    send(Array.from({ length: 400 }, (_, at) => rpcBytes(version, at + 2, 'tools/call', work('once'))).join(''));
    await until(() => read.closed);
    await expectEmptyBudget([port], {}, calls);
    expect(calls.begun).toBeLessThanOrEqual(OPEN_REQUESTS);
    expect(log.matching(/more than 16 open requests/, 'warn')).toHaveLength(1);
  });

  test('a connection that waits for its answers may send any number of requests', async () => {
    const { factory, work: calls } = workServer({});
    const { port } = await serve(factory, { ...STATELESS, limits: { memoryBytes: BUDGET, userShare: 1 } }, { face });
    const { send, read } = pipe(port);
    for (const round of [0, 1, 2]) {
      send(UP_TO.map((id) => rpcBytes(version, round * 100 + id, 'tools/call', work('once'))).join(''));
      await until(() => idsIn(read.text).length === (round + 1) * OPEN_REQUESTS);
    }
    await expectEmptyBudget([port], {}, calls);
    expect(read.closed).toBe(false);
  });
});
