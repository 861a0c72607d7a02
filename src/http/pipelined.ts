/**
 * Requests that a client sends on one connection without waiting for answers. `node:http` closes only the response
 * whose turn it is when the connection closes, and the responses behind it never learn that their client is gone.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const waiting = new WeakMap<Socket, Set<ServerResponse>>();

/** Emits `close` on a response that waits for its turn when its connection closes. */
export function closeWithConnection(socket: Socket, res: ServerResponse): void {
  if (socket.destroyed) return void (res.destroyed = true);
  let responses = waiting.get(socket);
  if (responses === undefined) {
    responses = new Set();
    waiting.set(socket, responses);
    socket.once('close', () => closeAll(socket));
  }
  responses.add(res);
  res.once('finish', () => waiting.get(socket)?.delete(res));
}

function closeAll(socket: Socket): void {
  for (const res of waiting.get(socket) ?? []) {
    // Node has closed it.
    if (res.socket !== null) continue;
    res.destroyed = true;
    res.emit('close');
  }
  waiting.delete(socket);
}
