/** `endpoint.createShutdown(server)`: an application's server stops without failing a call. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, request as secureRequest } from 'node:https';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, type McpEndpoint } from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { newCertificate } from '../../kit/certificate.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { connecting, openClient } from '../../kit/listening.ts';
import { gate } from '../../kit/watched-store.ts';
import { until } from '../../kit/until.ts';

type Gate = ReturnType<typeof gate>;

function greeter(held: Gate = gate(), store = memory()): McpEndpoint {
  const server = new McpServer({ name: 'greeter', version: '1.0.0' });
  server.registerTool('hold', {}, async () => {
    await held.hook();
    return { content: [{ type: 'text', text: 'held' }] };
  });
  return createMcpEndpoint(server, { logger: false, store });
}

/** `/other` answers when `other` opens. */
async function application(held: Gate = gate(), { other = gate(), store = memory() } = {}) {
  const endpoint = greeter(held, store);
  const server = createServer((req, res) => {
    if (req.url !== '/other') return endpoint.node(req, res);
    res.write('begun');
    void Promise.resolve(other.hook()).then(() => res.end());
  });
  server.listen(0, '127.0.0.1');
  const stop = endpoint.createShutdown(server);
  await once(server, 'listening');
  onTestFinished(async () => {
    held.open();
    other.open();
    await stop();
  });
  return {
    endpoint,
    server,
    stop,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
}

async function session(origin: string, sockets = 1): Promise<RawClient> {
  const client = openClient(`${origin}/mcp`, { sockets });
  await client.initialize();
  return client;
}

const refused = async (origin: string): Promise<boolean> =>
  (await connecting(Number(new URL(origin).port))) === 'ECONNREFUSED';

test('the server stops accepting, answers kept connections with Connection: close, and closes with the endpoint', async () => {
  const held = gate();
  const { endpoint, server, stop, origin } = await application(held);
  const [busy, kept] = [await session(origin), await session(origin)];
  const called = busy.call('tools/call', { name: 'hold', arguments: {} });
  await until(() => held.waiting === 1);
  expect(endpoint.health()).toMatchObject({ ready: true, state: 'serving' });
  const stopped = stop();
  held.open();
  expect((await called).message.result).toMatchObject({ content: [{ text: 'held' }] });
  await until(() => refused(origin));
  const { response } = await kept.call('ping');
  expect([response.status, response.header('connection')]).toEqual([200, 'close']);
  await stopped;
  expect([server.listening, endpoint.health()]).toMatchObject([
    false,
    { ready: false, state: 'closed' },
  ]);
});

test('an idle connection is kept for one more request while a stream ends and other instances serve', async () => {
  const [held, store] = [gate(), memory()];
  const { stop, origin } = await application(held, { store });
  const next = greeter(held, store);
  onTestFinished(() => next.close());
  await next.sessions.list();
  const [busy, kept] = [await session(origin, 2), await session(origin)];
  await busy.get();
  const called = busy.call('tools/call', { name: 'hold', arguments: {} });
  await until(() => held.waiting === 1);
  const stopped = stop();
  await until(() => refused(origin));
  // Twice as long as what looks for servers that stopped takes to look again.
  const later = performance.now() + 1_000;
  await until(() => performance.now() > later);
  const { response } = await kept.call('ping');
  expect([response.status, response.header('connection')]).toEqual([200, 'close']);
  held.open();
  expect((await called).response.status).toBe(200);
  await stopped;
});

test('stop twice is one stop', async () => {
  const { stop } = await application();
  expect(stop()).toBe(stop());
  await stop();
});

test('a GET stream ends, and a request to another route may take its time', async () => {
  const other = gate();
  const { stop, origin } = await application(gate(), { other });
  const client = await session(origin, 2);
  const stream = await client.get();
  const answer = await fetch(`${origin}/other`);
  await until(() => other.waiting === 1);
  let isStopped = false;
  const stopped = stop().then(() => (isStopped = true));
  await stream.untilEnd();
  expect(isStopped).toBe(false);
  other.open();
  expect(await answer.text()).toBe('begun');
  await stopped;
});

test('connections of TLS are told to end too', async () => {
  const endpoint = greeter();
  const { certificate, key } = newCertificate();
  const [cert, privateKey] = [readFileSync(certificate), readFileSync(key)];
  const server = createSecureServer({ cert, key: privateKey }, endpoint.node).listen(
    0,
    '127.0.0.1',
  );
  const stop = endpoint.createShutdown(server);
  await once(server, 'listening');
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const options = {
    port: (server.address() as AddressInfo).port,
    method: 'POST',
    path: '/mcp',
    headers,
  };
  const request = secureRequest({ ...options, host: '127.0.0.1', rejectUnauthorized: false });
  // Its head arrives before the stop, its body after it.
  request.flushHeaders();
  await once(server, 'request');
  const stopped = stop();
  await until(() => !server.listening);
  request.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  expect(response.headers.connection).toBe('close');
  await stopped;
});

test('the server keeps idle connections longer than a load balancer, unless it was told otherwise', async () => {
  const endpoint = greeter();
  onTestFinished(() => endpoint.close());
  const told = createServer({ keepAliveTimeout: 20_000 });
  const untold = createServer();
  for (const server of [told, untold]) endpoint.createShutdown(server);
  expect([told.keepAliveTimeout, untold.keepAliveTimeout]).toEqual([20_000, 75_000]);
});

test('what is no server of HTTP/1 is refused, and so is an option that does not exist', async () => {
  const endpoint = greeter();
  onTestFinished(() => endpoint.close());
  const takes = 'Option server: got "Http2Server", takes a server of node:http or node:https';
  expect(() => endpoint.createShutdown(createHttp2Server())).toThrow(takes);
  const app = ((_req: IncomingMessage, _res: ServerResponse) => {}) as unknown as Server;
  expect(() => endpoint.createShutdown(app)).toThrow('Option server: got "Function"');
  expect(() => endpoint.createShutdown(createServer(), { timeout: 1 } as object)).toThrow(
    'timeoutMs',
  );
  expect(() => endpoint.createShutdown(createServer(), { timeoutMs: '5s' } as object)).toThrow(
    'timeoutMs: got "5s"',
  );
});
