import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createFaultProxy, type FaultProxy } from '../kit/fault-proxy.ts';
import { until } from '../kit/until.ts';

/** Answers `n` with that many bytes, `end` with an end, and anything else with itself. */
function answer(socket: Socket, text: string): void {
  const count = Number(text);
  if (text === 'end') socket.end('bye');
  else socket.write(Number.isInteger(count) ? 'x'.repeat(count) : text);
}

const open: Array<() => Promise<unknown>> = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

interface Target {
  readonly server: Server;
  readonly port: number;
  readonly sockets: Set<Socket>;
}

async function startTarget(): Promise<Target> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => answer(socket, bytes.toString()));
    socket.on('end', () => socket.end('half'));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  open.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  });
  return { server, port: (server.address() as AddressInfo).port, sockets };
}

class Peer {
  received = '';
  ending: 'end' | 'reset' | undefined;
  closed = false;
  readonly socket: Socket;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.setEncoding('utf8');
    this.socket.on('data', (text: string) => (this.received += text));
    this.socket.on('end', () => (this.ending ??= 'end'));
    this.socket.on('error', () => (this.ending ??= 'reset'));
    this.socket.on('close', () => (this.closed = true));
    open.push(async () => this.socket.destroy());
  }
}

async function start(): Promise<{ target: Target; proxy: FaultProxy; peer: Peer }> {
  const target = await startTarget();
  const proxy = await createFaultProxy({ port: target.port });
  open.push(() => proxy.close());
  const peer = new Peer(proxy.port);
  peer.socket.write('hello');
  await until(() => peer.received === 'hello');
  peer.received = '';
  return { target, proxy, peer };
}

/** Bytes need turns of the event loop to pass: as many as a connection without a proxy takes to go there and back. */
async function turns({ port }: Target, count: number): Promise<void> {
  const control = new Peer(port);
  for (let n = 1; n <= count; n++) {
    control.socket.write('.');
    await until(() => control.received.length === n);
  }
  control.socket.destroy();
}

test('everything passes, both ways, with the end of either side', async () => {
  const { proxy, peer, target } = await start();
  peer.socket.write('3000000');
  await until(() => peer.received.length === 3_000_000);
  peer.socket.end();
  await until(() => peer.received.endsWith('half'));
  expect(peer.ending).toBe('end');
  await until(() => proxy.connections === 0 && target.sockets.size === 0);
  const other = new Peer(proxy.port);
  other.socket.write('end');
  await until(() => other.received === 'bye' && other.ending === 'end');
  expect(proxy.accepted).toBe(2);
});

test('a cut resets both sides of every connection, and new ones work', async () => {
  const { target, proxy, peer } = await start();
  const second = new Peer(proxy.port);
  await until(() => target.sockets.size === 2);
  proxy.cutAll();
  await until(() => peer.closed && second.closed && target.sockets.size === 0);
  expect([peer.ending, second.ending, proxy.connections]).toEqual(['reset', 'reset', 0]);
  const third = new Peer(proxy.port);
  third.socket.write('again');
  await until(() => third.received === 'again');
});

test('a delay holds every byte back, in order, and the end too', async () => {
  const { proxy, peer } = await start();
  proxy.delay(60);
  const started = performance.now();
  peer.socket.write('one,');
  setImmediate(() => peer.socket.write('two,'));
  await until(() => peer.received.endsWith('two,'));
  expect(peer.received).toBe('one,two,');
  expect(performance.now() - started).toBeGreaterThanOrEqual(119); // there and back; a timer may be 1 ms early
  peer.received = '';
  peer.socket.write('end');
  await until(() => peer.received === 'bye' && peer.ending === 'end');
});

test('delayed bytes hold back later ones of their connection alone, until the proxy heals', async () => {
  const { target, proxy, peer } = await start();
  proxy.delay(600_000);
  peer.socket.write('late,');
  await turns(target, 20);
  proxy.delay(0);
  peer.socket.write('later');
  const other = new Peer(proxy.port);
  other.socket.write('new');
  await until(() => other.received === 'new');
  expect(peer.received).toBe('');
  proxy.heal();
  await until(() => peer.received === 'late,later');
});

test('a black hole passes nothing and ends nothing, until it heals', async () => {
  const { target, proxy, peer } = await start();
  proxy.blackHole(true);
  peer.socket.write('lost?');
  const [atTarget] = target.sockets;
  atTarget?.write('from the target');
  const late = new Peer(proxy.port);
  late.socket.write('new');
  await until(() => proxy.accepted === 2);
  await turns(target, 20);
  expect([peer.received, late.received, peer.ending]).toEqual(['', '', undefined]);
  atTarget?.destroy();
  await until(() => atTarget?.destroyed);
  await turns(target, 20);
  expect(peer.ending).toBeUndefined();
  proxy.heal();
  await until(() => late.received === 'new' && peer.ending !== undefined);
});

test('a response breaks off after exactly so many bytes, on every connection until it heals', async () => {
  const { proxy, peer, target } = await start();
  proxy.cutAfter(1_000);
  peer.socket.write('9');
  await until(() => peer.received.length === 9);
  proxy.cutAfter(10); // from now on
  peer.socket.write('9');
  await until(() => peer.received.length === 18);
  peer.socket.write('9');
  await until(() => peer.closed || peer.ending !== undefined);
  expect(peer.received).toHaveLength(19);
  const second = new Peer(proxy.port);
  second.socket.write('500000');
  await until(() => second.ending !== undefined);
  expect(second.received).toHaveLength(10);
  peer.socket.destroy();
  second.socket.destroy();
  await until(() => proxy.connections === 0 && target.sockets.size === 0);
  proxy.heal();
  const third = new Peer(proxy.port);
  third.socket.write('5000');
  await until(() => third.received.length === 5_000);
});

test('a response of which nothing may pass is cut at its first byte', async () => {
  const { proxy, peer } = await start();
  proxy.cutAfter(0);
  peer.socket.write('100');
  await until(() => peer.ending !== undefined);
  expect(peer.received).toBe('');
});

test('a proxy that refuses resets new connections and keeps the others', async () => {
  const { proxy, peer } = await start();
  proxy.refuse(true);
  const refused = new Peer(proxy.port);
  await until(() => refused.closed);
  expect(refused.ending).toBe('reset');
  peer.socket.write('still here');
  await until(() => peer.received === 'still here');
});

test('a target that is away resets the client', async () => {
  const target = await startTarget();
  const proxy = await createFaultProxy({ port: target.port });
  open.push(() => proxy.close());
  await new Promise((done) => target.server.close(done));
  const peer = new Peer(proxy.port);
  await until(() => peer.closed);
  expect([peer.ending, proxy.connections]).toEqual(['reset', 0]);
});

test('a slow reader holds the sender back instead of filling the proxy', async () => {
  const { proxy, peer, target } = await start();
  peer.socket.pause();
  peer.socket.write('50000000');
  const [atTarget] = target.sockets;
  await turns(target, 100); // a proxy that takes all it gets has taken it by then
  expect(atTarget?.writableLength).toBeGreaterThan(0);
  peer.socket.resume();
  await until(() => peer.received.length === 50_000_000, { timeoutMs: 20_000 });
  expect(proxy.connections).toBe(1);
});
