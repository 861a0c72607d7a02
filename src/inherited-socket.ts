/**
 * A listening socket that outlives this process: `listen({ fd })`, systemd's socket activation. Whoever connects while
 * nobody accepts waits in the kernel for the next process, so leaving it must not refuse a call either:
 *
 *     serving ──leave──▶ leaving: nothing is accepted, every answer says `Connection: close`
 *                     ──quiet──▶ left: connections on which nothing more came are closed
 *
 * A connection is closed under a client only when it was not told: `QUIET_MS` is its time to ask once more and be told.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { TimeProvider } from './types.ts';

const QUIET_MS = 500;
const POLL_MS = 5;

export class InheritedSocket {
  readonly #server: Server;
  readonly #time: Required<TimeProvider>;
  /** Not ended yet: whether their clients know that the connection ends with them. */
  readonly #answers = new Map<ServerResponse, boolean>();
  #leaving: Promise<void> | undefined;

  constructor(server: Server, time: Required<TimeProvider>) {
    this.#server = server;
    this.#time = time;
    server.on('request', (req, res) => this.#began(req, res));
  }

  leave(): Promise<void> {
    return (this.#leaving ??= this.#leave());
  }

  #began({ method }: IncomingMessage, res: ServerResponse): void {
    // A GET stream ends with the drain at the latest; its head is the only place to say so.
    const told = this.#leaving !== undefined || method === 'GET';
    if (told) res.setHeader('Connection', 'close');
    this.#answers.set(res, told);
    res.on('close', () => this.#answers.delete(res));
  }

  async #leave(): Promise<void> {
    // Not http's own: that cuts idle connections at once, under a request that is on its way.
    NetServer.prototype.close.call(this.#server);
    for (const res of this.#answers.keys()) {
      if (res.headersSent) continue;
      res.setHeader('Connection', 'close');
      this.#answers.set(res, true);
    }
    const deadline = this.#time.monotonic() + QUIET_MS;
    while ((await this.#untold()) > 0 && this.#time.monotonic() < deadline) {
      await new Promise<void>((resolve) => void this.#time.setTimeout(resolve, POLL_MS));
    }
    this.#server.closeIdleConnections();
    // Long streams: their clients have other things to do than to hurry a request behind the end.
    for (const [res, told] of this.#answers) {
      const { socket } = res;
      if (!told) res.once('finish', () => socket?.end());
    }
  }

  /** Connections whose clients may still send a request. */
  #untold(): Promise<number> {
    const told = [...this.#answers.values()].filter(Boolean).length;
    return new Promise((resolve) => {
      this.#server.getConnections((_error, count) => resolve(count - told));
    });
  }
}
