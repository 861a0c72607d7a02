/** `drain({ stopListening: true })`: how `listen()` stops using its socket. `create-shutdown.test.ts` has what both servers do. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { systemTime } from '../../../src/base/system.ts';
import type { TimeProvider } from '../../../src/base/types.ts';
import { serveFleet, type Member } from '../../kit/fleet.ts';
import { until } from '../../kit/until.ts';
import { rawRequest, sessionHeaders } from '../../security/aborts.ts';

const tool = (name: string) => ['tools/call', { name, arguments: {} }] as const;

/** A client with one connection, kept between its requests, and a session. */
const open = (member: Member) => member.openSession({}, { sockets: 1 });

/** A connection on which the test writes HTTP by itself, and what it has read. */
async function connection({ port }: Member, first = '') {
  const socket = connect(port, '127.0.0.1');
  const read = { text: '' };
  socket.setEncoding('utf8').on('data', (text: string) => (read.text += text));
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  if (first !== '') socket.write(first);
  return { socket, read, closed };
}

/** The session has a call that runs until the test ends it. */
async function draining(member: Member) {
  const busy = await open(member);
  const called = busy.call(...tool('hold'));
  const call = await member.lab.held();
  const drained = member.endpoint.drain({ timeoutMs: 20_000, stopListening: true });
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

/** For this clock each poll of 5 ms takes 75 ms. */
function slowPolls() {
  const waited = { ms: 0 };
  const timeProvider: Required<TimeProvider> = {
    ...systemTime,
    monotonic: () => systemTime.monotonic() + waited.ms,
    setTimeout: (fn, ms) => systemTime.setTimeout(() => (ms === 5 && (waited.ms += 70), fn()), ms),
  };
  return { waited, timeProvider };
}

describe('a socket that is left at a drain', () => {
  test.each([
    ['nothing more', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['nothing at all', ''],
  ])('closes a connection on which %s came', async (_what, request) => {
    const { timeProvider } = slowPolls();
    const [a] = await serveFleet(2, { timeProvider });
    const { read, closed } = await connection(a, request);
    if (request !== '') await until(() => read.text.includes('}'), { what: 'the answer' });
    const { finish } = await draining(a);
    await closed;
    await finish();
  });

  const LAST = /^HTTP\/1.1 200 OK\r\n(.*\r\n)*Connection: close\r\n/;

  test('does not cut a request that is on its way', async () => {
    const [a] = await serveFleet(2);
    const begun = await connection(a, 'GET /healthz HTTP/1.1\r\nHost: local');
    const quiet = await connection(a);
    const { finish } = await draining(a);
    // The quiet time is over.
    await quiet.closed;
    begun.socket.write('host\r\n\r\n');
    await begun.closed;
    expect(begun.read.text).toMatch(LAST);
    await finish();
  });

  test('serves a client that sends a request at the end of a stream, however long the stream ran', async () => {
    const [a] = await serveFleet(2);
    const client = await open(a);
    const post = (id: number, method: string, params: object): string =>
      rawRequest('POST', sessionHeaders(client), { jsonrpc: '2.0', id, method, params });
    const { socket, read, closed } = await connection(
      a,
      post(1, 'tools/call', { name: 'hold', arguments: {} }),
    );
    const call = await a.lab.held();
    // Its head was sent without `Connection: close`.
    await until(() => read.text.includes('\r\n\r\n'), { what: 'the head' });
    const quiet = await connection(a);
    const drained = a.endpoint.drain({ timeoutMs: 20_000, stopListening: true });
    await quiet.closed;
    call.answer('done');
    await until(() => read.text.endsWith('0\r\n\r\n'), { what: 'the end of the stream' });
    read.text = '';
    socket.write(post(2, 'ping', {}));
    await closed;
    expect(read.text).toMatch(LAST);
    expect(await drained).toMatchObject({ interrupted: 0 });
  });

  test('waits four times as long at most for a quiet client where this process gets little CPU', async () => {
    const { waited, timeProvider } = slowPolls();
    const [a] = await serveFleet(2, { timeProvider });
    const { closed } = await connection(a);
    const drained = a.endpoint.drain({ stopListening: true });
    await closed;
    await drained;
    expect(waited.ms).toBeLessThan(10_000);
  });
});
