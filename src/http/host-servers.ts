/**
 * The HTTP servers of the application under `endpoint.node`. A server that stops listening exits once its connections
 * are closed, and an open stream would keep it for as long as its client stays.
 *
 * Node tells only the server's own `close` listeners, and those after the last connection. So this looks while a stream
 * is open.
 */
import type { Socket } from 'node:net';
import { afterTurn, every } from '../base/system.ts';
import type { TimeProvider } from '../types.ts';
import { type HostServer, hostServerOf } from './repeated-field.ts';

/** A stream that ends when its server stops listening. */
export interface HostedStream {
  hostStopped(): void;
}

const CHECK_MS = 500;

export class HostServers {
  readonly #time: TimeProvider;
  /** Servers with open streams, and those that stopped and are not closed yet. */
  readonly #streams = new Map<HostServer, Set<HostedStream>>();
  readonly #stopping = new WeakSet<HostServer>();
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
    const server = hostServerOf(socket);
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
      this.#noteStopping(server);
      for (const stream of streams) stream.hostStopped();
      // `close()` closed those that were idle then. The others would stay for the keep-alive timeout of the server. A
      // response that has just ended counts as active until its last bytes are sent.
      afterTurn(() => server.closeIdleConnections?.());
    }
  }

  #noteStopping(server: HostServer): void {
    if (this.#stopping.has(server)) return;
    this.#stopping.add(server);
    server.once('close', () => this.#forget(server));
  }

  #forget(server: HostServer): void {
    this.#streams.delete(server);
    if (this.#streams.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }
}
