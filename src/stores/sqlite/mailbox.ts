/**
 * The socket on which one instance takes messages.
 *
 *     open ──close──▶ closed
 *
 * The kernel holds what is not read yet; a process that dies leaves the file of its socket, and whoever connects to that
 * is refused. A socket whose file was taken away listens on, but nobody finds it: `repair` makes it anew.
 */
import { chmodSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { storeAway } from '../../errors.ts';
import type { Logger } from '../../types.ts';
import { removeSocket } from './address.ts';
import { FrameReader, type OnFrame } from './frames.ts';

const SOCKET_MODE = 0o600;

export interface MailboxOwner {
  readonly receive: OnFrame;
  /** Nobody may be heard any more, until `repair`. */
  lost(): void;
}

export class Mailbox {
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

  open(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    server.unref();
    return new Promise((done, failed) => {
      server.once('error', failed);
      // `exclusive`: a worker of node:cluster would else ask its parent to listen.
      server.listen({ path: this.#path, exclusive: true }, () => {
        server.off('error', failed);
        server.on('error', (err) => this.#fail(err));
        this.#failed = false;
        done();
      });
      this.#protect();
    });
  }

  /** The file is there as soon as `listen` returns. */
  #protect(): void {
    if (process.platform === 'win32') return;
    try {
      chmodSync(this.#path, SOCKET_MODE);
    } catch {
      // It does not listen: the error event says why.
    }
  }

  #fail(err: Error): void {
    this.#logger.error({ err, path: this.#path }, 'The mailbox of this instance failed; it is made anew');
    this.#failed = true;
    this.#owner.lost();
  }

  /** Those who are connected stay so. */
  async repair(): Promise<void> {
    const there = process.platform === 'win32' || statSync(this.#path, { throwIfNoEntry: false }) !== undefined;
    if ((there && !this.#failed) || this.#closed) return;
    if (!there) this.#logger.warn({ path: this.#path }, 'The socket of this instance was removed; it is made anew');
    // Closing removes the file by its name, at once: so it comes first.
    this.#server?.close();
    try {
      await this.open();
    } catch (cause) {
      this.#failed = true;
      throw storeAway(`the mailbox of this instance cannot be opened again: ${(cause as Error).message}`, cause);
    }
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
    const reader = new FrameReader((from, message) => this.#deliver(from, message));
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (err) {
        this.#logger.warn({ err, path: this.#path }, 'What came into the mailbox of this instance is no message');
        socket.destroy();
      }
    });
    // A peer that dies; `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#connections.delete(socket));
  }

  #deliver: OnFrame = (from, message) => {
    if (this.#closed) return;
    try {
      this.#owner.receive(from, message);
    } catch (err) {
      this.#logger.error({ err, from, kind: message.kind }, 'A message could not be received');
    }
  };
}
