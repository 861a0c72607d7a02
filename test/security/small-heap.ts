/**
 * A server process with a small heap, the attackers' requests, and a witness: another user who must be served
 * throughout.
 */
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { SmallHeap, sumOf } from './processes/small-heap.ts';
import { startWitness } from './shapes/witness.ts';

/** A process of this size lives with them by itself; with 256 MB, some need a proxy before it (SECURITY.md). */
const HEAP_MB = 512;
const ANSWER_MS = 90_000;

/** `store`: a path for SQLite, or the URL of a Redis; the memory store without it. */
export async function startSmallHeap(options: object = {}, store?: string, heapMb = HEAP_MB): Promise<SmallHeap> {
  const server = await SmallHeap.start(options, heapMb, store);
  onTestFinished(() => server.end());
  return server;
}

/** What it holds after a collection and no row of the memory budget has. */
export async function unchargedBytes(server: SmallHeap): Promise<number> {
  const { heapBytes, rows } = await server.measure();
  return heapBytes - sumOf(rows);
}

export interface Answer {
  readonly status: number;
  readonly sessionId: string | undefined;
  readonly text: string;
}

export class Caller {
  readonly #port: number;
  readonly #user: string | undefined;
  readonly #agent: Agent;
  sessionId: string | undefined;
  #nextId = 1;

  constructor(port: number, user: string | undefined, sockets: number) {
    this.#port = port;
    this.#user = user;
    this.#agent = new Agent({ keepAlive: true, maxSockets: sockets });
    onTestFinished(() => this.#agent.destroy());
  }

  post(body: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send('POST', body, { accept: 'application/json, text/event-stream', ...headers });
  }

  /** What follows an event, up to the end of the response. */
  resume(lastEventId: string): Promise<Answer> {
    const version = '2025-11-25';
    const headers = { 'last-event-id': lastEventId, 'mcp-protocol-version': version, accept: 'text/event-stream' };
    return this.#send('GET', '', headers);
  }

  /** Status 0: the connection was cut, or no answer came in time. */
  #send(method: string, body: string, headers: Record<string, string>): Promise<Answer> {
    return new Promise((resolve) => {
      const failed = (): void => resolve({ status: 0, sessionId: undefined, text: '' });
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          path: '/mcp',
          method,
          agent: this.#agent,
          headers: {
            'content-type': 'application/json',
            ...(headers['transfer-encoding'] === undefined && { 'content-length': Buffer.byteLength(body) }),
            ...(this.#user !== undefined && { 'x-user': this.#user }),
            ...(this.sessionId !== undefined && { 'mcp-session-id': this.sessionId }),
            ...headers,
          },
        },
        (incoming) => {
          const parts: Buffer[] = [];
          incoming.on('data', (part: Buffer) => parts.push(part));
          incoming.on('error', failed);
          incoming.on('end', () => {
            const id = incoming.headers['mcp-session-id'];
            const sessionId = typeof id === 'string' ? id : undefined;
            resolve({ status: incoming.statusCode ?? 0, sessionId, text: Buffer.concat(parts).toString() });
          });
        },
      );
      outgoing.setTimeout(ANSWER_MS, () => outgoing.destroy());
      outgoing.on('error', failed);
      // The server may answer before it has the whole body, and close.
      outgoing.on('socket', (socket) => {
        if (socket.listenerCount('error') < 2) socket.on('error', failed);
      });
      outgoing.end(body);
    });
  }

  rpc(method: string, params: object, headers?: Record<string, string>): Promise<Answer> {
    return this.post(JSON.stringify({ jsonrpc: '2.0', id: this.#nextId++, method, params }), headers);
  }

  initialize(capabilities: object = {}): Promise<Answer> {
    const clientInfo = { name: 'flood', version: '1' };
    return this.rpc('initialize', { protocolVersion: '2025-11-25', capabilities, clientInfo });
  }

  async open(): Promise<string> {
    const { sessionId, status, text } = await this.initialize();
    if (sessionId === undefined) throw new Error(`no session: ${status} ${text.slice(0, 200)}`);
    this.sessionId = sessionId;
    return sessionId;
  }
}

/** Another user calls while `attack` runs. The process survives, and each of that user's calls is answered. */
export async function underAttack(server: SmallHeap, attack: () => Promise<void>): Promise<void> {
  const witness = await startWitness(server.port, ANSWER_MS);
  await attack();
  expect(server.alive, server.output).toBe(true);
  const late = await witness.stop();
  const { calls, failed } = witness.seen();
  expect([failed, late], server.output).toEqual([[], []]);
  // How many more depends on how fast this machine is.
  expect(calls).toBeGreaterThan(1);
}

/** `count` times, `parallel` at a time. */
export async function times<T>(count: number, parallel: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(count, parallel) }, async () => {
      while (next < count) results.push(await work(next++));
    }),
  );
  return results;
}

/** A connection that sends and then reads nothing. */
export function deafConnection(port: number, bytes: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes);
      socket.pause();
      resolve(socket);
    });
    socket.on('error', reject);
    onTestFinished(() => void socket.destroy());
  });
}

/** The bytes of a GET that resumes after an event. */
export function rawResume(lastEventId: string, sessionId: string, user: string): string {
  const head = [
    'GET /mcp HTTP/1.1',
    'Host: localhost',
    'Accept: text/event-stream',
    'Mcp-Protocol-Version: 2025-11-25',
    `Mcp-Session-Id: ${sessionId}`,
    `Last-Event-ID: ${lastEventId}`,
    `X-User: ${user}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n`;
}

/** The bytes of a POST. */
export function rawPost(body: string, sessionId: string, user?: string): string {
  const head = [
    'POST /mcp HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Mcp-Session-Id: ${sessionId}`,
    ...(user === undefined ? [] : [`X-User: ${user}`]),
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
