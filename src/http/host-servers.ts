/**
 * The HTTP servers of the application under `endpoint.node`. A server that stops listening exits once its connections
 * are closed, and an open stream would keep it for as long as its client stays.
 *
 * Node names the server of each HTTP/1 request in a diagnostics channel. It tells only the server's own `close`
 * listeners that the server is closed, and those after the last connection. So this looks while a stream is open.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { afterTurn, every } from '../base/system.ts';
import type { TimeProvider } from '../types.ts';

/** A stream that ends when its server stops listening. */
export interface HostedStream {
  hostStopped(): void;
}

const CHECK_MS = 500;

const servers = new WeakMap<Socket, Server>();

subscribe('http.server.request.start', (message) => {
  const { socket, server } = message as { readonly socket: Socket; readonly server: Server };
  if (!servers.has(socket)) servers.set(socket, server);
});

/** The server of a connection over HTTP/1, on runtimes that name it. */
export const serverOf = (socket: Socket): Server | undefined => servers.get(socket);

export class HostServers {
  readonly #time: TimeProvider;
  /** Servers with open streams, and those that stopped and are not closed yet. */
  readonly #streams = new Map<Server, Set<HostedStream>>();
  readonly #stopping = new WeakSet<Server>();
  readonly #left = new WeakSet<object>();
  #stop: (() => void) | undefined = undefined;

  constructor(time: TimeProvider) {
    this.#time = time;
  }

  /** From now on `endpoint.closeWith()` ends the streams of this server and closes its connections, in its order. */
  leave(server: object): void {
    this.#left.add(server);
  }

  /** Returns what forgets the stream. `undefined`: its server never listened in this process. */
  watch(socket: Socket, stream: HostedStream): (() => void) | undefined {
    const server = serverOf(socket);
    if (server?.listening !== true) return undefined;
    const streams = this.#streams.get(server) ?? new Set();
    this.#streams.set(server, streams.add(stream));
    this.#stop ??= every(this.#time, CHECK_MS, () => this.#check());
    return () => {
      streams.delete(stream);
      if (streams.size === 0 && !this.#stopping.has(server)) this.#forget(server);
    };
  }

  #check(): void {
    for (const [server, streams] of this.#streams) {
      if (server.listening || this.#left.has(server)) continue;
      if (!this.#stopping.has(server)) server.once('close', () => this.#forget(server));
      this.#stopping.add(server);
      for (const stream of streams) stream.hostStopped();
      // `close()` closed those that were idle then. The others would stay for the keep-alive timeout of the server. A
      // response that has just ended counts as active until its last bytes are sent.
      afterTurn(() => server.closeIdleConnections());
    }
  }

  #forget(server: Server): void {
    this.#streams.delete(server);
    if (this.#streams.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }
}
