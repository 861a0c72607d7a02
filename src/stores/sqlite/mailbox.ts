/**
 * The socket on which one instance receives messages. Each line that a connection brings is the text of a message.
 *
 *     open ──close()──▶ closed
 *
 * A crash leaves the socket's file, and connections to it are refused. If only the file is deleted, the socket still
 * listens but cannot be found; `repair` opens it again.
 */
import { chmodSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { storeUnavailable } from '../../base/errors.ts';
import type { Logger } from '../../base/types.ts';
import { type Receive, receiveText } from '../shared/instances.ts';
import { withShortPath } from './socket-paths.ts';

const SOCKET_MODE = 0o600;

export class SqliteMailbox {
  readonly #path: string;
  readonly #receive: Receive;
  readonly #logger: Logger;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;

  constructor(path: string, receive: Receive, logger: Logger) {
    this.#path = path;
    this.#receive = receive;
    this.#logger = logger;
  }

  open(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    server.unref();
    return new Promise((done, failed) => {
      // A socket that listens has errors of single connections, and listens on.
      const cannot = (err: Error): void =>
        failed(
          storeUnavailable(`the mailbox of this instance cannot be opened: ${err.message}`, err),
        );
      server.on('error', cannot);
      // A worker of node:cluster would ask its parent to listen, if this were not `exclusive`.
      const listen = (path: string): Server => server.listen({ path, exclusive: true }, done);
      try {
        withShortPath(this.#path, listen);
      } catch (err) {
        return cannot(err as Error);
      }
      // The file exists as soon as `listen` returns, unless the error event follows.
      if (process.platform !== 'win32' && this.#isThere) chmodSync(this.#path, SOCKET_MODE);
    });
  }

  /** Existing connections stay open. */
  async repair(): Promise<void> {
    if (this.#server === undefined || this.#isThere) return;
    this.#logger.warn(
      { path: this.#path },
      'The socket of this instance was removed; it is opened again',
    );
    // Before `open`, because closing deletes the file by its name at once.
    this.#server.close();
    await this.open();
  }

  /** Removes the file too, which Node does by the path that it was bound with. */
  close(): void {
    this.#server?.close();
    if (this.#server !== undefined && process.platform !== 'win32')
      rmSync(this.#path, { force: true });
    this.#server = undefined;
    for (const socket of this.#connections) socket.destroy();
  }

  get #isThere(): boolean {
    return (
      process.platform === 'win32' || statSync(this.#path, { throwIfNoEntry: false }) !== undefined
    );
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket);
    socket.unref();
    const take = lines((line) => {
      if (this.#server !== undefined) receiveText(this.#receive, line);
    });
    socket.setEncoding('utf8').on('data', take);
    // The peer crashed; `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#connections.delete(socket));
  }
}

/** Takes the chunks of one connection, as texts. */
function lines(onLine: (line: string) => void): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const [end = '', ...others] = chunk.split('\n');
    const whole = [rest + end, ...others];
    rest = whole.pop() ?? '';
    whole.forEach(onLine);
  };
}
