/**
 * A listening socket that outlives this process: `listen({ fd })`, systemd's socket activation, several workers. Whoever
 * connects while nobody accepts waits in the kernel for the next process, so leaving it must not refuse a call either:
 *
 *     serving ──leave──▶ leaving: nothing is accepted, every answer says `Connection: close`
 *                     ──quiet──▶ left: connections on which nothing more came are closed
 *
 * A connection is closed under a client only when it was not told: `QUIET_MS` is its time to ask once more and be told.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { elapse } from './system.ts';
import type { TimeProvider } from './types.ts';

const QUIET_MS = 500;
const POLL_MS = 5;

/** What is known of a connection: per request nothing is made, and nothing listened to. */
interface Connection {
  /** The last one that began. */
  answer: ServerResponse | undefined;
  /** Its client knows that the connection ends with that answer. */
  told: boolean;
}

export class InheritedSocket {
  readonly #server: Server;
  readonly #time: Required<TimeProvider>;
  readonly #connections = new Map<Socket, Connection>();
  #leaving: Promise<void> | undefined;

  constructor(server: Server, time: Required<TimeProvider>) {
    this.#server = server;
    this.#time = time;
    server.on('connection', (socket: Socket) => {
      this.#connections.set(socket, { answer: undefined, told: false });
      socket.on('close', () => this.#connections.delete(socket));
    });
    server.on('request', (req, res) => this.#began(req, res));
  }

  leave(): Promise<void> {
    return (this.#leaving ??= this.#leave());
  }

  #began({ method, socket }: IncomingMessage, res: ServerResponse): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    connection.answer = res;
    // A GET stream ends with the drain at the latest; its head is the only place to say so.
    connection.told = this.#leaving !== undefined || method === 'GET';
    if (connection.told) res.setHeader('Connection', 'close');
  }

  async #leave(): Promise<void> {
    // Not http's own: that cuts idle connections at once, under a request that is on its way.
    NetServer.prototype.close.call(this.#server);
    for (const connection of this.#connections.values()) {
      const { answer } = connection;
      if (answer === undefined || answer.headersSent) continue;
      answer.setHeader('Connection', 'close');
      connection.told = true;
    }
    const deadline = this.#time.monotonic() + QUIET_MS;
    while (this.#untold().length > 0 && this.#time.monotonic() < deadline) {
      await elapse(this.#time, POLL_MS);
    }
    const untold = this.#untold();
    this.#server.closeIdleConnections();
    // Long streams: their clients have other things to do than to hurry a request behind the end.
    for (const [socket, { answer }] of untold) answer?.once('finish', () => socket.end());
  }

  /** Connections whose clients may still send a request. */
  #untold(): [Socket, Connection][] {
    return [...this.#connections].filter(([, { told }]) => !told);
  }
}
