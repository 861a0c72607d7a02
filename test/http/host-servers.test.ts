/** `endpoint.node` under a server of the application that stops listening while clients have streams open. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, type Store } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { connectV1 } from '../clients/official.ts';
import { openClient } from '../kit/listening.ts';
import { freePort } from '../kit/free-port.ts';
import { createLab, tool } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { postModern } from '../kit/modern.ts';
import { until } from '../kit/until.ts';

async function host(store: Store = memory(), port = 0) {
  const lab = createLab();
  const endpoint = createMcpEndpoint(lab.factory, {
    store,
    logger: createLog(),
    accessLog: true,
    retryMs: 1_000,
  });
  const server = createServer((req, res) => endpoint.node(req, res));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await endpoint.close({ timeoutMs: 0 });
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  return { server, endpoint, url, lab, client: () => openClient(url) };
}

async function closed(server: Server): Promise<void> {
  const close = once(server, 'close');
  server.close();
  await close;
}

test('a GET stream ends after its position and a retry, and the server closes', async () => {
  const { server, client } = await host();
  const one = client();
  await one.initialize();
  const stream = await one.get();
  const primed = await stream.next();
  await closed(server);
  const events = await stream.untilEnd();
  expect(stream.ending).toBe('complete');
  const last = events.at(-1);
  expect(last).not.toBe(primed);
  expect(last).toMatchObject({ retry: 1_000, data: '' });
  expect(last?.id).toBeDefined();
});

test('the client of such a stream reads on at the next process', async () => {
  const store = memory();
  const first = await host(store, await freePort());
  const { listening: listens, notifications } = await connectV1(first.url);
  await listens;
  await closed(first.server);
  const next = await host(store, Number(new URL(first.url).port));
  await first.endpoint.drain();
  const timer = setInterval(() => next.endpoint.notify.toolsChanged(), 50);
  onTestFinished(() => clearInterval(timer));
  await until(() => notifications('notifications/tools/list_changed').length > 0, {
    what: 'a notification there',
  });
});

test('subscriptions/listen of 2026-07-28 ends, and a call that runs is answered first', async () => {
  const { server, client, lab } = await host();
  const listening = await postModern(client(), 'subscriptions/listen', {
    notifications: { toolsListChanged: true },
  });
  await listening.nextMessage();
  const one = client();
  await one.initialize();
  const running = one.call(...tool('hold'));
  const held = await lab.held();
  const close = closed(server);
  await listening.untilEnd();
  expect(listening.ending).toBe('complete');
  held.answer('done');
  expect((await running).message).toMatchObject({ result: {} });
  await close;
});

test('a server that never listened in this process loses no stream', async () => {
  const { endpoint, server, client } = await host();
  const listening = await postModern(client(), 'subscriptions/listen', {
    notifications: { toolsListChanged: true },
  });
  await listening.nextMessage();
  const hidden = createServer((req, res) => endpoint.node(req, res));
  const front = createTcpServer((socket) => hidden.emit('connection', socket));
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const one = openClient(`http://127.0.0.1:${(front.address() as AddressInfo).port}/mcp`);
  onTestFinished(() => {
    hidden.closeAllConnections();
    front.close();
  });
  await one.initialize();
  const stream = await one.get();
  await stream.next();
  server.close();
  await until(() => listening.ending !== undefined, {
    what: 'the end of a stream whose server stopped',
  });
  expect(stream.ending).toBeUndefined();
});
