/**
 * One client that sends the requests of a shape: up to 64 connections, 10 MB a second. It begins when its parent sends
 * the port and the shape. At the next message it sends nothing more, holds its connections, and says what it has sent.
 * Its parent ends the process.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { requestBytes, type Target } from '../shapes/bytes.ts';
import type { Shape } from '../shapes/shape.ts';
import { type Answer, Caller } from './caller.ts';

const BYTES_PER_SECOND = 10_000_000;
const TICK_MS = 10;
/** How long a client waits for an answer before it sends more. */
const ANSWER_MS = 250;
const HALF_MS = 5_000;

export interface Sent {
  readonly bytes: number;
  readonly requests: number;
  /** Answers by their status. */
  readonly answers: Readonly<Record<string, number>>;
}

export interface Attack {
  readonly port: number;
  readonly shape: Shape;
}

process.send?.('ready');
const { port, shape } = await new Promise<Attack>((resolve) =>
  process.once('message', resolve as () => void),
);
const prefix = shape.face === 'fetch' ? '/fetch/mcp' : '/mcp';

let bytes = 0;
let requests = 0;
const answers: Record<string, number> = {};
let stopped = false;
let allowed = BYTES_PER_SECOND / 4;
const refill = setInterval(() => {
  allowed = Math.min(allowed + (BYTES_PER_SECOND / 1_000) * TICK_MS, BYTES_PER_SECOND / 4);
}, TICK_MS);

process.on('message', () => {
  stopped = true;
  clearInterval(refill);
  process.send?.({ bytes, requests, answers } satisfies Sent);
});
process.on('disconnect', () => process.exit());

const MODERN = shape.era === '2026';
const caller = new Caller(port, shape.named ? 'attacker' : undefined);

/** Throws where the connection was cut: the client tries again. */
async function handshake(path: string): Promise<Answer> {
  const version = shape.batch > 1 ? '2025-03-26' : '2025-11-25';
  const answer = await caller.initialize({ roots: {}, sampling: {} }, version, path);
  if (answer.status === 0) throw new Error(answer.text);
  return answer;
}

const call = (sessionId: string, name: string, args: object) =>
  caller.rpc('tools/call', { name, arguments: args }, { 'mcp-session-id': sessionId }, prefix);

/** The stream of a 2024-11-05 session, and the address that its first event names. */
function openStream(): Promise<Target> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const user = shape.named ? 'X-User: attacker\r\n' : '';
    socket.write(
      `GET ${prefix}/sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${user}\r\n`,
    );
    let text = '';
    const done = (path: string): void => {
      socket.removeAllListeners('data');
      if (shape.reads) socket.resume();
      else socket.pause();
      resolve({ path });
    };
    socket.on('data', (part) => {
      text += part.toString('latin1');
      const path = /^data: (\S*message\S*)/m.exec(text)?.[1];
      if (path !== undefined)
        done(path.startsWith('http') ? new URL(path).pathname + new URL(path).search : path);
      else if (text.length > 2_000) done(`${prefix}/message?sessionId=none`);
    });
    socket.on('error', () => resolve({ path: `${prefix}/message?sessionId=none` }));
  });
}

/** What the requests of one connection name. */
async function openTarget(): Promise<Target> {
  if (MODERN) return { path: prefix };
  if (shape.era === 'sse') {
    if (shape.method === 'GET') return { path: `${prefix}/sse` };
    const target = await openStream();
    if (shape.method !== 'initialize') await handshake(target.path);
    return target;
  }
  if (shape.sessions === 'none') return { path: prefix };
  const { sessionId } = await handshake(prefix);
  if (sessionId === undefined) return { path: prefix };
  if (shape.method === 'answer' || shape.method === 'error') {
    void call(sessionId, 'ask', {});
  }
  if (shape.method !== 'GET resume') return { path: prefix, sessionId };
  const args = {
    events: 1 + Math.floor(shape.answer / 50_000),
    bytes: Math.min(shape.answer, 50_000),
  };
  const { text } = await call(sessionId, 'long', args);
  return { path: prefix, sessionId, lastEventId: /^id: (\S+)$/m.exec(text)?.[1] };
}

function openSocket(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
    socket.setEncoding('latin1').on('data', (text) => {
      for (const [, status = ''] of String(text).matchAll(/HTTP\/1\.1 (\d{3})/g)) {
        answers[status] = (answers[status] ?? 0) + 1;
      }
    });
    if (!shape.reads) socket.pause();
  });
}

/** Resolves at this event, at the end of the connection, or after a time. */
const happens = (socket: Socket, event: string, ms = 2 ** 31 - 1): Promise<void> =>
  new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      socket.off(event, over).off('close', over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    socket.on(event, over).on('close', over);
  });

async function write(socket: Socket, part: Buffer): Promise<void> {
  while (allowed <= 0 && !stopped) await sleep(TICK_MS);
  if (stopped || socket.destroyed) return;
  allowed -= part.length;
  if (requests === 0) process.send?.('began');
  bytes += part.length;
  requests += 1;
  if (!socket.write(part)) await happens(socket, 'drain');
}

/** The requests of one connection, until the client leaves it. */
async function converse(socket: Socket, target: Target, first: number): Promise<number> {
  let next = first;
  const most = shape.perConnection === 0 ? Infinity : shape.perConnection;
  while (!stopped && !socket.destroyed && next - first < most) {
    const count = Math.min(shape.pipelined, most - (next - first));
    for (let n = 0; n < count && !stopped; n++) {
      const whole = requestBytes(shape, target, next++);
      const isLast = n === count - 1 && shape.leaves === 'half a body';
      await write(socket, isLast ? whole.subarray(0, Math.floor(whole.length / 2)) : whole);
    }
    if (shape.leaves === 'half a body') await happens(socket, 'close', HALF_MS);
    if (shape.leaves !== 'in order') break;
    if (shape.reads) await happens(socket, 'data', ANSWER_MS);
    if (shape.paceMs > 0) await sleep(shape.paceMs);
    // Lets the other connections write.
    await new Promise((turn) => setImmediate(turn));
  }
  return next;
}

async function connection(number: number, shared: Promise<Target> | undefined): Promise<void> {
  let next = number * 1_000_000;
  let target: Target | undefined;
  while (!stopped) {
    try {
      target ??= await (shared ?? openTarget());
      const socket = await openSocket();
      next = await converse(socket, target, next);
      if (!stopped) socket.destroy();
    } catch {
      // Refused or cut: the client connects again.
      await sleep(50);
    }
  }
}

const shared = shape.sessions === 'each' ? undefined : openTarget();
shared?.catch(() => {});
for (let n = 1; n <= shape.connections; n++) void connection(n, shared);
