/** The kernel's queue of a listening socket, before it closes. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemTime } from '../../../src/base/system.ts';
import { fillQueue, queueOf } from '../../../src/http/listen/accept-queue.ts';
import { ListeningSocket } from '../../../src/http/listen/listening-socket.ts';
import { without } from '../../kit/without.ts';
import { connecting } from '../../kit/listening.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { turns } from '../../kit/until.ts';

const fill = (server: Server): Promise<boolean> =>
  new Promise((done) => {
    const queue = queueOf(server);
    if (queue === undefined) throw new Error('this queue cannot be filled');
    fillQueue(queue, done);
  });

/** Fills the queue in a separate turn, as the closing code does. */
const filled = async (server: Server): Promise<boolean> => {
  await turns();
  return fill(server);
};

async function bound(host: string): Promise<{ server: Server; port: number; accepted: Socket[] }> {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket.on('error', () => undefined));
  });
  server.listen(0, host);
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port, accepted };
}

describe.runIf(process.platform === 'linux')('the queue of a socket', () => {
  test.each(['127.0.0.1', '0.0.0.0', '::', 'localhost'])('of %s can be filled', async (host) => {
    const { server, accepted } = await bound(host);
    expect(queueOf(server)).toBeDefined();
    expect(await filled(server)).toBe(true);
    expect(accepted).toEqual([]);
  });

  test('that a version of Node.js hides is not filled', async () => {
    const { server } = await bound('127.0.0.1');
    expect(queueOf(without(server, '_handle'))).toBeUndefined();
  });

  test('that is full takes no client: a client that connects then is refused when the socket has closed, and not reset', async () => {
    const { server, port, accepted } = await bound('127.0.0.1');
    expect(await filled(server)).toBe(true);
    const ends = [connecting(port), connecting(port)];
    // They have connected, and the kernel has not answered.
    await new Promise<void>((next) => process.nextTick(next));
    server.close();
    expect(await Promise.all(ends)).toEqual(['ECONNREFUSED', 'ECONNREFUSED']);
    expect(accepted).toEqual([]);
  });

  test('that holds a client is not taken for full: that client is accepted, and so are later clients', async () => {
    const { server, port, accepted } = await bound('127.0.0.1');
    await turns();
    const first = connecting(port);
    expect(await fill(server)).toBe(false);
    expect(accepted).toEqual([]);
    expect(await first).toBe('connected');
    const more = Array.from({ length: 20 }, () => connecting(port));
    expect(new Set(await Promise.all(more))).toEqual(new Set(['connected']));
    while (accepted.length < 21) await turns();
    expect(await filled(server)).toBe(true);
  });

  test('is full when an instance closes the socket', async () => {
    const server = createHttpServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const listening = queueOf(server)?.listening;
    const lengths: number[] = [];
    const listen = listening?.listen.bind(listening);
    Object.assign(listening ?? {}, {
      listen: (length: number) => (lengths.push(length), listen?.(length)),
    });
    await new ListeningSocket(server, systemTime, false).stopAccepting('alone');
    expect([lengths, server.listening]).toEqual([[0], false]);
  });
});

test('a server that does not listen, and one on a path, are closed as they are', async () => {
  expect(queueOf(createServer())).toBeUndefined();
  const folder = temporaryFolder();
  const server = createServer().listen(join(folder, 'socket'));
  await once(server, 'listening');
  expect(queueOf(server)).toBeUndefined();
  server.close();
});
