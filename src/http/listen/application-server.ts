/**
 * The server of an application under `endpoint.createShutdown()`. It stops as the server of `listen()` does (see
 * `listening-socket.ts`), except that requests to other routes may take as long as they do.
 */
import { createServer, Server } from 'node:http';
import { Server as SecureServer } from 'node:https';
import type { Server as NetServer } from 'node:net';
import { optionInvalid } from '../../base/errors.ts';
import { closeIdle } from '../host-servers.ts';
import type { TimeProvider } from '../../base/types.ts';
import { KEEP_ALIVE_TIMEOUT_MS } from './listen.ts';
import { ListeningSocket } from './listening-socket.ts';

export class ApplicationServer {
  readonly socket: ListeningSocket;
  readonly #server: Server | SecureServer;

  /** Throws `OPTION_INVALID` for a server without HTTP/1 connections. */
  constructor(server: NetServer, time: Required<TimeProvider>) {
    if (!(server instanceof Server || server instanceof SecureServer)) {
      const takes =
        'a server of node:http or node:https, as app.listen() and createServer() return it';
      throw optionInvalid(
        'type',
        'server',
        (server as NetServer | undefined)?.constructor.name,
        takes,
      );
    }
    this.#server = server;
    this.socket = new ListeningSocket(server, time, false);
    // Node.js closes idle connections after 5 s, at times under a request that a load balancer sends just then.
    if (server.keepAliveTimeout === createServer().keepAliveTimeout)
      server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  }

  /** Resolves when all connections are closed: requests to other routes end first. */
  close(): Promise<void> {
    return new Promise((closed) => {
      this.#server.close(() => closed());
      closeIdle(this.#server);
    });
  }
}
