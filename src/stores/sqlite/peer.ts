/**
 * The connection to the mailbox of one other instance. There is only one, so that its messages arrive in order.
 *
 *     connecting ──▶ connected ──▶ closed    the peer left or died; the next message connects again
 *         │  ╰─────▶ lost                    no file, no room: neither proves that the peer is dead
 *         ╰────────▶ suspect                 refused: no process listens there
 *
 * Messages that are written when the peer dies are lost, although `send` answered `'sent'`, and so are messages to a
 * peer whose socket was deleted, until it opens its socket again. A sender that needs an answer waits for one.
 */
import { connect, type Socket } from 'node:net';
import { storeAway } from '../../errors.ts';
import { afterTurn } from '../../base/system.ts';

/** With more unread bytes, a peer counts as stuck. The relay's own credit is far below. */
const STUCK_BYTES = 67_108_864;

export type SendOutcome = 'sent' | 'suspect';

export interface PeerOptions {
  /** The path of the socket; undefined: the instance has no lease. */
  find(): Promise<string | undefined>;
  /** The connection failed without proof that the peer is dead. This many messages are lost. */
  lostMessages(messages: number, err: unknown): void;
  /** The connection cannot be used any more. */
  closed(): void;
}

export class Peer {
  readonly #id: string;
  readonly #options: PeerOptions;
  /** Lines that were sent before the connection is made. */
  #waiting: string[] = [];
  readonly #outcome: Promise<SendOutcome>;
  #socket: Socket | undefined;
  #closed = false;

  constructor(id: string, options: PeerOptions) {
    this.#id = id;
    this.#options = options;
    this.#outcome = this.#open().finally(() => (this.#waiting = []));
  }

  /** Answers at once while connected. */
  send(line: string): SendOutcome | Promise<SendOutcome> {
    const socket = this.#socket;
    if (socket === undefined) {
      this.#waiting.push(line);
      return this.#outcome;
    }
    if (socket.writableLength > STUCK_BYTES)
      throw storeAway(`instance ${this.#id} has not read ${socket.writableLength} bytes of messages`);
    this.#write(socket, line);
    return 'sent';
  }

  /** Bytes that are written already are still sent. */
  close(): void {
    this.#closed = true;
    this.#socket?.destroySoon();
  }

  /** The lines of one turn are sent together. */
  #write(socket: Socket, line: string): void {
    if (socket.writableCorked === 0) {
      socket.cork();
      afterTurn(() => socket.uncork());
    }
    socket.write(line);
  }

  async #open(): Promise<SendOutcome> {
    try {
      const path = await this.#options.find();
      const error = path === undefined ? undefined : await this.#connect(path);
      if (path === undefined || error?.code === 'ECONNREFUSED') return 'suspect';
      if (error !== undefined && !this.#closed) this.#options.lostMessages(this.#waiting.length, error);
      return 'sent';
    } finally {
      if (this.#socket === undefined) this.#options.closed();
    }
  }

  #connect(path: string): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      const socket = connect(path);
      socket.unref();
      socket.on('error', resolve);
      socket.once('connect', () => {
        socket.once('close', () => this.#options.closed());
        // The peer never writes; reading notices when it closes.
        socket.resume();
        this.#socket = socket;
        for (const line of this.#waiting) this.#write(socket, line);
        resolve(undefined);
        if (this.#closed) socket.destroySoon();
      });
    });
  }
}
