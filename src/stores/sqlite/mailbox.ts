/**
 * The socket on which one instance receives messages.
 *
 *     open ──close()──▶ closed
 *
 * The owning instance moves it. The kernel holds bytes that are not read yet. A crash leaves the socket's file, and
 * connections to it are refused. If only the file is deleted, the socket still listens but cannot be found; `repair`
 * opens it again.
 */
import { chmodSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { storeAway } from '../../errors.ts';
import type { Logger } from '../../types.ts';
import { removeSocket } from './address.ts';
import { FrameReader, type OnFrame } from './mailbox-frames.ts';

const SOCKET_MODE = 0o600;

export interface MailboxOwner {
  readonly receive: OnFrame;
  /** Messages may be lost from now on, until `repair`. */
  lost(): void;
}

export class SqliteMailbox {
  readonly #path: string;
  readonly #owner: MailboxOwner;
  readonly #logger: Logger;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;
  #failed = false;
  #closed = false;

  constructor(path: string, owner: MailboxOwner, logger: Logger) {
    this.#path = path;
    this.#owner = owner;
    this.#logger = logger;
  }

  async open(): Promise<void> {
    try {
      await this.#listen();
    } catch (cause) {
      this.#failed = true;
      throw storeAway(`the mailbox of this instance cannot be opened: ${(cause as Error).message}`, cause);
    }
  }

  #listen(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    server.unref();
    return new Promise((done, failed) => {
      server.once('error', failed);
      // A worker of node:cluster would ask its parent to listen, if this were not `exclusive`.
      server.listen({ path: this.#path, exclusive: true }, () => {
        server.off('error', failed);
        server.on('error', (err) => this.#fail(err));
        this.#failed = false;
        done();
      });
      this.#protect();
    });
  }

  /** The file exists as soon as `listen` returns. */
  #protect(): void {
    if (process.platform === 'win32') return;
    try {
      chmodSync(this.#path, SOCKET_MODE);
    } catch {
      // The socket does not listen; the error event has the reason.
    }
  }

  #fail(err: Error): void {
    this.#logger.error(
      { err, path: this.#path },
      'The socket on which other instances reach this one failed; it is opened again',
    );
    this.#failed = true;
    this.#owner.lost();
  }

  /** Existing connections stay open. */
  async repair(): Promise<void> {
    const there = process.platform === 'win32' || statSync(this.#path, { throwIfNoEntry: false }) !== undefined;
    if ((there && !this.#failed) || this.#closed) return;
    if (!there) this.#logger.warn({ path: this.#path }, 'The socket of this instance was removed; it is opened again');
    // Before `open`, because closing deletes the file by its name at once.
    this.#server?.close();
    await this.open();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#server?.close();
    for (const socket of this.#connections) socket.destroy();
    removeSocket(this.#path);
  }

  #accept(socket: Socket): void {
    if (this.#closed) return void socket.destroy();
    this.#connections.add(socket);
    socket.unref();
    const reader = new FrameReader((from, message) => {
      if (!this.#closed) this.#owner.receive(from, message);
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (err) {
        this.#logger.warn(
          { err, path: this.#path },
          'The socket of this instance received bytes that are not a message',
        );
        socket.destroy();
      }
    });
    // The peer crashed; `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#connections.delete(socket));
  }
}
