/**
 * The HTTP servers of the application. A server that stops listening exits once its connections are closed, and an open
 * stream would keep it for as long as its client stays: so `server.close()` ends the streams too. Node tells only the
 * server's own `close` listeners that a server is closed, and those after the last connection; hence the method of a
 * server with a stream is replaced.
 *
 * Node names the server of each HTTP/1 request in a diagnostics channel. `endpoint.createShutdown()` and `listen()` end the
 * streams in their own order before they call `close`.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { afterTurn, every, systemTime } from '../base/system.ts';

/** A stream that ends when its server stops listening. */
export interface HostedStream {
  hostStopped(): void;
}

/** `close()` closes the connections that are idle then. The others would stay for the server's keep-alive timeout. */
const CHECK_MS = 500;

const servers = new WeakMap<Socket, Server>();
const streams = new WeakMap<Server, Set<HostedStream>>();

subscribe('http.server.request.start', (message) => {
  const { socket, server } = message as { readonly socket: Socket; readonly server: Server };
  if (!servers.has(socket)) servers.set(socket, server);
});

/** The server of a connection over HTTP/1, on runtimes that name it. */
export const serverOf = (socket: Socket): Server | undefined => servers.get(socket);

/** The streams that end when the server of a connection closes. */
export function hostedWith(socket: Socket | undefined): Set<HostedStream> | undefined {
  const server = socket && serverOf(socket);
  return server && (streams.get(server) ?? hostedBy(server));
}

function hostedBy(server: Server): Set<HostedStream> {
  const hosted = new Set<HostedStream>();
  streams.set(server, hosted);
  const { close } = server;
  server.close = (closed) => {
    close.call(server, closed);
    for (const stream of hosted) stream.hostStopped();
    closeIdle(server);
    server.once(
      'close',
      every(systemTime, CHECK_MS, () => server.closeIdleConnections()),
    );
    return server;
  };
  return hosted;
}

/** Closes the connections without a request. One whose response has just ended is active until its last bytes are sent. */
export function closeIdle(server: Pick<Server, 'closeIdleConnections'>): void {
  server.closeIdleConnections();
  afterTurn(() => server.closeIdleConnections());
}
