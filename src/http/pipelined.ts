/**
 * Requests that a client sends on one connection without waiting for answers. `node:http` reads all of them, and holds
 * each answer until the answers before it are sent.
 *
 *     a POST with a request, a GET              ─▶ begins when its answer can be sent; until then it would be held
 *     a notification, an answer, a DELETE, else ─▶ begins at once: an earlier request on the connection may need it
 *
 * What waits is charged to the memory budget. A connection is cut that has too many of them, or for which the budget
 * has no room: `node:http` would read on.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { readInNextTurn } from './read-in-turn.ts';
import type { MemoryUse } from '../base/budget.ts';

/** Clients and proxies that pipeline at all send some ten. */
const MOST_WAITING = 64;
/** What a request and its response take in the heap besides the body and the header fields. */
const WAITING_BYTES = 16 * 1024;
/** What a header field takes besides its characters: two texts, and an entry in a table. */
export const FIELD_BYTES = 208;

const bytesOf = ({ rawHeaders }: IncomingMessage): number =>
  rawHeaders.reduce((sum, text) => sum + text.length, WAITING_BYTES + (rawHeaders.length / 2) * FIELD_BYTES);

/** A proxy has the connections of many users. */
const NO_SHARE = '';

const waiting = new WeakMap<Socket, Map<ServerResponse, MemoryUse>>();

/** The response that has the connection: `node:http` keeps it in this member of the socket. */
function responseOn(socket: Socket | null | undefined): ServerResponse | undefined {
  const { _httpMessage: response } = (socket ?? {}) as { readonly _httpMessage?: ServerResponse | null };
  return response ?? undefined;
}

/**
 * Whether an earlier response has the connection. Adapters make responses that never get a connection, and those wait
 * for nothing.
 */
export function isBehind({ socket }: IncomingMessage, res: ServerResponse): boolean {
  return res.socket === null && responseOn(socket) !== undefined;
}

/**
 * Holds the place of a response until it gets the connection. When the connection closes before, `close` is emitted on
 * the response, because `node:http` closes only the first. Returns how many wait where the connection is cut.
 */
export function holdPlace(socket: Socket, res: ServerResponse, memory: MemoryUse): number | undefined {
  if (socket.destroyed) return void (res.destroyed = true);
  readInNextTurn(socket);
  let responses = waiting.get(socket);
  if (responses === undefined) {
    responses = new Map();
    waiting.set(socket, responses);
    socket.once('close', () => closeAll(socket));
  }
  // The reserve of the budget is for requests that are served.
  if (responses.size >= MOST_WAITING || !memory.take(bytesOf(res.req), Infinity, NO_SHARE)) {
    cut(socket);
    res.destroyed = true;
    return responses.size;
  }
  responses.set(res, memory);
  res.once('socket', () => leave(socket, res));
  return undefined;
}

/** `node:http` would go through the other requests of what it has read, each with the objects of a request. */
function cut(socket: Socket & { readonly parser?: { pause?(): void } | null }): void {
  socket.destroy();
  socket.parser?.pause?.();
}

function leave(socket: Socket, res: ServerResponse): void {
  const responses = waiting.get(socket);
  responses?.get(res)?.give(bytesOf(res.req), NO_SHARE);
  responses?.delete(res);
}

function closeAll(socket: Socket): void {
  for (const res of waiting.get(socket)?.keys() ?? []) {
    leave(socket, res);
    res.destroyed = true;
    res.emit('close');
  }
}

// ——— the fetch face: an adapter keeps the responses, and gives requests on at once ———

/**
 * Fewer than of those that wait: these begin at once, and each takes some ten times as long, all of a connection in one
 * turn of the event loop.
 */
const MOST_BEHIND = 32;
/** The requests behind the one whose response has the connection, in their order. */
const behind = new WeakMap<Socket, Behind[]>();

interface Behind {
  readonly incoming: IncomingMessage;
  /** The budget of its endpoint: a server may have several. */
  readonly memory: MemoryUse;
}

/**
 * Does what `holdPlace` does for a request of an adapter, which begins at once. What is bounded is how many of a
 * connection exist at a time, and how many one turn of the event loop brings, in which no other client is served.
 */
export function countBehind(incoming: IncomingMessage, memory: MemoryUse): number | undefined {
  const { socket } = incoming;
  const response = responseOn(socket);
  if (socket.destroyed || response === undefined || response.req === incoming) return undefined;
  readInNextTurn(socket);
  let requests = behind.get(socket);
  if (requests === undefined) {
    requests = [];
    behind.set(socket, requests);
    socket.once('close', () => pass(socket));
  }
  if (requests.length === 0) response.once('close', () => pass(socket));
  if (requests.length >= MOST_BEHIND || !memory.take(bytesOf(incoming), Infinity, NO_SHARE)) {
    cut(socket);
    return requests.length;
  }
  requests.push({ incoming, memory });
  return undefined;
}

/** A response is over: the next has the connection, and its request is no longer behind. */
function pass(socket: Socket): void {
  const requests = behind.get(socket);
  if (requests === undefined) return;
  const response = socket.destroyed ? undefined : responseOn(socket);
  const passed =
    response === undefined ? requests.length : requests.findIndex(({ incoming }) => incoming === response.req) + 1;
  for (const { incoming, memory } of requests.splice(0, passed)) memory.give(bytesOf(incoming), NO_SHARE);
  if (requests.length > 0) response?.once('close', () => pass(socket));
}
