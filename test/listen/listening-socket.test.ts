/** `drain({ stopListening: true })`: how `listen()` stops using its socket. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { until } from '../kit/until.ts';
import type { RawClient } from '../kit/raw-client.ts';

const tool = (name: string) => ['tools/call', { name, arguments: {} }] as const;

/** A client with one connection, kept between its requests, and a session. */
async function open(member: Member): Promise<RawClient> {
  const client = member.client({ sockets: 1 });
  await client.initialize();
  return client;
}

/** The outcome for a client that connects now. */
function connecting(port: number): Promise<string | undefined> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done('connected');
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => done(code));
  });
}

/** The session has a call that runs until the test ends it. */
async function draining(member: Member, stopListening: boolean) {
  const busy = await open(member);
  const called = busy.call(...tool('hold'));
  const call = await member.lab.held();
  const drained = member.endpoint.drain({ timeoutMs: 20_000, stopListening });
  return {
    async finish() {
      call.answer('done');
      const { response, message } = await called;
      expect(message.result).toMatchObject({ content: [{ text: 'done' }] });
      expect(await drained).toMatchObject({ interrupted: 0 });
      return response;
    },
  };
}

describe('a socket that is left at a drain', () => {
  test('stops accepting connections before the drain refuses anything', async () => {
    const [a] = (await serveFleet(2)) as [Member, Member];
    const { finish } = await draining(a, true);
    await until(async () => (await connecting(a.port)) === 'ECONNREFUSED', { what: 'connections to be refused' });
    await finish();
  });

  test('serves those who are connected, and tells them to end with that answer', async () => {
    const [a, b] = (await serveFleet(2)) as [Member, Member];
    const kept = await open(a);
    const { finish } = await draining(a, true);
    await until(async () => (await connecting(a.port)) === 'ECONNREFUSED');
    const { response } = await kept.call('ping');
    expect([response.status, response.header('connection')]).toEqual([200, 'close']);
    await finish();
    expect((await b.join(kept).call('ping')).response.status).toBe(200);
  });

  test.each([
    ['nothing more', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['nothing at all', ''],
  ])('closes a connection on which %s came', async (_what, request) => {
    const [a] = (await serveFleet(2)) as [Member, Member];
    let answer = '';
    const socket = connect(a.port, '127.0.0.1');
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    const closed = once(socket, 'close');
    await once(socket, 'connect');
    if (request !== '') {
      socket.write(request);
      await until(() => answer.includes('}'), { what: 'the answer' });
    }
    const { finish } = await draining(a, true);
    await closed;
    await finish();
  });

  test('does not cut a request that is on its way', async () => {
    const [a] = (await serveFleet(2)) as [Member, Member];
    let answer = '';
    const socket = connect(a.port, '127.0.0.1');
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    socket.write('GET /healthz HTTP/1.1\r\nHost: local');
    const quiet = connect(a.port, '127.0.0.1');
    const closed = once(quiet, 'close');
    await once(quiet, 'connect');
    const { finish } = await draining(a, true);
    // The quiet time is over.
    await closed;
    socket.write('host\r\n\r\n');
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n(.*\r\n)*Connection: close\r\n/);
    await finish();
  });

  test('serves a client that sends a request at the end of a stream, however long the stream ran', async () => {
    const [a] = (await serveFleet(2)) as [Member, Member];
    const client = await open(a);
    let answer = '';
    const socket = connect(a.port, '127.0.0.1');
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    const post = (id: number, method: string, params: object): void => {
      const body = JSON.stringify({ jsonrpc: '2.0', id, method, params });
      const head = [
        'POST /mcp HTTP/1.1',
        'Host: localhost',
        'Accept: application/json, text/event-stream',
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        `Mcp-Session-Id: ${client.sessionId}`,
      ];
      socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
    };
    post(1, 'tools/call', { name: 'hold', arguments: {} });
    const call = await a.lab.held();
    // Its head was sent without `Connection: close`.
    await until(() => answer.includes('\r\n\r\n'), { what: 'the head' });
    const quiet = connect(a.port, '127.0.0.1');
    const closed = once(quiet, 'close');
    await once(quiet, 'connect');
    const drained = a.endpoint.drain({ timeoutMs: 20_000, stopListening: true });
    await closed;
    call.answer('done');
    await until(() => answer.endsWith('0\r\n\r\n'), { what: 'the end of the stream' });
    answer = '';
    post(2, 'ping', {});
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n(.*\r\n)*Connection: close\r\n/);
    expect(await drained).toMatchObject({ interrupted: 0 });
  });

  test('only with stopListening: otherwise it answers until the end, and then with 503', async () => {
    const [a] = (await serveFleet(2)) as [Member, Member];
    const { finish } = await draining(a, false);
    await until(() => a.endpoint.health().state === 'draining');
    expect(await connecting(a.port)).toBe('connected');
    await finish();
    const { response } = await a.client().call('initialize', {});
    expect(response.status).toBe(503);
  });
});
