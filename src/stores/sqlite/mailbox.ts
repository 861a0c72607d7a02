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
import type { Logger } from '../../types.ts';
import { removeSocket } from './address.ts';
import { FrameReader, type OnFrame } from './frames.ts';

const SOCKET_MODE = 0o600;

export class Mailbox {
  readonly #path: string;
  readonly #receive: OnFrame;
  readonly #logger: Logger;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;
  #closed = false;

  constructor(path: string, receive: OnFrame, logger: Logger) {
    this.#path = path;
    this.#receive = receive;
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
        server.on('error', (err) =>
          this.#logger.error({ err, path: this.#path }, 'The mailbox of this instance failed'),
        );
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

  /** Those who are connected stay so. */
  async repair(): Promise<void> {
    const there = process.platform === 'win32' || statSync(this.#path, { throwIfNoEntry: false }) !== undefined;
    if (there || this.#closed) return;
    this.#logger.warn({ path: this.#path }, 'The socket of this instance was removed; it is made anew');
    // Closing removes the file by its name, at once: so it comes first.
    this.#server?.close();
    try {
      await this.open();
    } catch (err) {
      this.#logger.error({ err, path: this.#path }, 'The mailbox of this instance could not be opened again');
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
      this.#receive(from, message);
    } catch (err) {
      this.#logger.error({ err, from, kind: message.kind }, 'a message could not be received');
    }
  };
}
