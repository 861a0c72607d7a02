/**
 * The end of the connection of a web `Request`. `@hono/node-server` aborts the signal of a request when its
 * `ServerResponse` closes, and `node:http` closes only the first of those on a connection. A request behind another one
 * is never told: it would keep its place and its bytes, and with its connection all answers that wait there.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** A connection of HTTP/1, where responses wait behind each other. An adapter hears the end of a stream of HTTP/2. */
function socketOf(request: Request): Socket | undefined {
  const incoming = incomingOf(request);
  return incoming?.httpVersionMajor === 1 ? incoming.socket : undefined;
}

/** The listeners of a connection, which may have thousands of requests. */
const listeners = new WeakMap<Socket, Set<() => void>>();

/** Node's request, which the adapter keeps under a symbol of this description; `undefined` with other adapters. */
function incomingOf(request: Request): IncomingMessage | undefined {
  const key = Object.getOwnPropertySymbols(request).find(({ description }) => description === 'incomingKey');
  return key && (request as unknown as Readonly<Record<symbol, IncomingMessage | undefined>>)[key];
}

function listenTo(socket: Socket): Set<() => void> {
  const all = new Set<() => void>();
  listeners.set(socket, all);
  socket.once('close', () => {
    for (const ended of all) ended();
  });
  return all;
}

/** Calls `ended` once the connection is closed, at once if it is. Returns how to stop listening. */
export function onConnectionEnd(request: Request, ended: () => void): (() => void) | undefined {
  const socket = socketOf(request);
  if (socket === undefined) return undefined;
  if (socket.destroyed) {
    ended();
    return undefined;
  }
  const all = listeners.get(socket) ?? listenTo(socket);
  all.add(ended);
  return () => void all.delete(ended);
}

/**
 * Breaks a body off, so that its client sees no complete answer. An adapter logs the error of a body with its stack,
 * and a client could fill a log with those: where the connection is known, it is closed instead.
 */
export function breakOff(
  request: Request,
  controller: ReadableStreamDefaultController<Uint8Array> | undefined,
  why: string,
): void {
  const socket = socketOf(request);
  socket?.destroy();
  if (socket === undefined) controller?.error(new Error(why));
  else controller?.close();
}
