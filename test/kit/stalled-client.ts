/**
 * A client that sends one request and stops reading after the first event of its answer, until the test lets it
 * continue.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { RawClient } from './raw-client.ts';
import { until } from './until.ts';

const PIECE = 262_144;
const PIECE_MS = 10;

/**
 * Sends a request and reads the response in pieces with pauses between them, more slowly than it is written. Resolves
 * with what arrived until the response ended or its connection was cut.
 */
export async function readSlowly(url: string, head: string, body = ''): Promise<string> {
  const [method, ...lines] = head.split('\n');
  const headers = Object.fromEntries(lines.map((line) => line.trim().split(/: (.*)/s, 2) as [string, string]));
  const asked = request(url, { method, headers, agent: false }).end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let received = '';
  response.setEncoding('utf8');
  let pausedAt = 0;
  response.on('data', (text: string) => {
    received += text;
    if (received.length - pausedAt < PIECE) return;
    pausedAt = received.length;
    response.pause();
    setTimeout(() => response.resume(), PIECE_MS);
  });
  await new Promise<void>((done) => response.once('close', done).once('error', () => {}));
  return received;
}

/** Sends a request and stops reading after the first event of its answer. */
export async function stall(
  url: string,
  head: string,
  body = '',
): Promise<{ socket: Socket; rest(): Promise<string> }> {
  const { port, pathname } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {}); // cut off, as expected
  let received = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => (received += text));
  const [method, ...headers] = head.split('\n');
  const lines = [`${method} ${pathname} HTTP/1.1`, `host: 127.0.0.1:${port}`, ...headers.map((line) => line.trim())];
  socket.write(`${lines.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  await until(() => /\ndata: .*\n\n/.test(received));
  socket.pause();
  return {
    socket,
    rest: async () => {
      socket.resume();
      await closed;
      return received;
    },
  };
}

export const legacyHead = (method: string, { sessionId, protocolVersion }: RawClient): string =>
  `${method}
  accept: application/json, text/event-stream
  content-type: application/json
  mcp-session-id: ${sessionId}
  mcp-protocol-version: ${protocolVersion}`;

/** Numbers of the messages that arrived complete, and the last event id among them. */
export function readEvents(text: string): { numbers: number[]; lastId: string | undefined } {
  const whole = text.slice(0, text.lastIndexOf('\n\n') + 2);
  const numbers = [...whole.matchAll(/"data":\{"n":(\d+),/g)].map(([, n]) => Number(n));
  return { numbers, lastId: [...whole.matchAll(/^id: (\S+)$/gm)].at(-1)?.[1] };
}

export const upTo = (end: number, from = 0): number[] => Array.from({ length: end - from }, (_, i) => from + i);
