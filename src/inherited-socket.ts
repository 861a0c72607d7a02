/**
 * A listening socket that outlives this process: `listen({ fd })`, systemd's socket activation. Whoever connects while
 * nobody accepts waits in the kernel for the next process, so leaving it must not refuse a call either:
 *
 *     serving ──leave──▶ leaving: nothing is accepted, every answer says `Connection: close`
 *                     ──quiet──▶ left: connections on which nothing more came are closed
 *
 * A client whose connection was used in that time has been told; the others had `QUIET_MS` to use it.
 */
import type { Server, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { TimeProvider } from './types.ts';

const QUIET_MS = 250;
const POLL_MS = 5;

export class InheritedSocket {
  readonly #server: Server;
  readonly #time: Required<TimeProvider>;
  /** Not ended yet. */
  readonly #answers = new Set<ServerResponse>();
  #leaving: Promise<void> | undefined;

  constructor(server: Server, time: Required<TimeProvider>) {
    this.#server = server;
    this.#time = time;
    server.on('request', (_req, res) => this.#began(res));
  }

  leave(): Promise<void> {
    return (this.#leaving ??= this.#leave());
  }

  #began(res: ServerResponse): void {
    if (this.#leaving !== undefined) res.setHeader('Connection', 'close');
    this.#answers.add(res);
    res.on('close', () => this.#answers.delete(res));
  }

  async #leave(): Promise<void> {
    // Not http's own: that cuts idle connections at once, under a request that is on its way.
    NetServer.prototype.close.call(this.#server);
    for (const res of this.#answers) closeAfter(res);
    const deadline = this.#time.monotonic() + QUIET_MS;
    while ((await this.#idle()) > 0 && this.#time.monotonic() < deadline) {
      await new Promise<void>((resolve) => void this.#time.setTimeout(resolve, POLL_MS));
    }
    this.#server.closeIdleConnections();
  }

  /** Connections without a request. */
  #idle(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.getConnections((_error, count) => resolve(count - this.#answers.size));
    });
  }
}

/** A stream has sent its head, and cannot say any more that its connection ends with it. */
function closeAfter(res: ServerResponse): void {
  const { socket } = res;
  if (res.headersSent) res.once('finish', () => socket?.end());
  else res.setHeader('Connection', 'close');
}
