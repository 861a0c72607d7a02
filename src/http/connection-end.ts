/**
 * The end of the connection of a web `Request`. `@hono/node-server` aborts the signal of a request when its
 * `ServerResponse` closes, and `node:http` closes only the first of those on a connection. A request behind another one
 * is never told: it would keep its place and its bytes, and with its connection all answers that wait there.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';

type WithIncoming = Readonly<Record<symbol, IncomingMessage | undefined>>;

/** The symbol that an adapter keeps node's request under, once a request has shown it. */
let incomingKey: symbol | undefined;

/** Node's request where it came over HTTP/1; `undefined` with adapters that do not keep it. */
export function incomingOf(request: Request): IncomingMessage | undefined {
  const kept = request as unknown as WithIncoming;
  if (incomingKey === undefined || kept[incomingKey] === undefined)
    incomingKey = Object.getOwnPropertySymbols(request).find(({ description }) => description === 'incomingKey');
  const incoming = incomingKey && kept[incomingKey];
  // Responses of HTTP/2 do not wait behind each other, and the adapter hears the end of each.
  return incoming?.httpVersionMajor === 1 ? incoming : undefined;
}

/** The listeners of a connection, which may have thousands of requests. */
const listeners = new WeakMap<Socket, Set<() => void>>();

function listenTo(socket: Socket): Set<() => void> {
  const all = new Set<() => void>();
  listeners.set(socket, all);
  socket.once('close', () => {
    for (const ended of all) ended();
  });
  return all;
}

/** Calls `ended` once the connection of a web request is closed, where that is known. Returns how to stop listening. */
export function onConnectionEnd(request: Request, ended: () => void): (() => void) | undefined {
  const socket = incomingOf(request)?.socket;
  return socket && onSocketEnd(socket, ended);
}

/**
 * Calls `ended` once the connection of a response behind another one is closed: `node:http` closes only the response that
 * has the connection. Returns how to stop listening.
 */
export function onEndBehind(res: ServerResponse, ended: () => void): (() => void) | undefined {
  const { socket } = res.req;
  // An adapter may pass what only looks like a socket.
  return res.socket === null && socket instanceof Socket ? onSocketEnd(socket, ended) : undefined;
}

/** Calls `ended` once the connection is closed, at once if it is. Returns how to stop listening. */
function onSocketEnd(socket: Socket, ended: () => void): (() => void) | undefined {
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
export function cutBody(
  request: Request,
  controller: ReadableStreamDefaultController<Uint8Array> | undefined,
  why: string,
): void {
  const socket = incomingOf(request)?.socket;
  socket?.destroy();
  if (socket === undefined) controller?.error(new Error(why));
  else controller?.close();
}
