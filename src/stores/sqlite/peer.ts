/**
 * The connection to the mailbox of one other instance. There is only one, so that its messages arrive in order.
 *
 *     connecting ──▶ connected ──▶ closed    the peer left or died; the next message connects again
 *         │  ╰─ no file, no room: retried, because neither proves that the peer is dead
 *         ╰──▶ suspect                       refused: no process listens there
 *
 * Messages that are written when the peer dies are lost, although `send` answered `'sent'`. A sender that needs an
 * answer waits for one.
 */
import { connect, type Socket } from 'node:net';
import { storeAway } from '../../errors.ts';
import { afterTurn } from '../../base/system.ts';
import { PREAMBLE } from './mailbox-frames.ts';
import type { RetryBackoff } from './retry-backoff.ts';

/** Turns and short timers, some 100 ms in all: longer than a mailbox takes to open its socket again. */
const TRIES = 14;
/** With more unread bytes, a peer counts as stuck. The relay's own credit is far below. */
const STUCK_BYTES = 67_108_864;

/** No file, no room, or closed while connecting: the peer may be back in a moment. */
const UNCLEAR = ['ENOENT', 'EAGAIN', 'ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT'];

export type SendOutcome = 'sent' | 'suspect';

export interface PeerOptions {
  /** The address of the mailbox; undefined: the instance has no lease. Called before every try. */
  find(): Promise<string | undefined>;
  /** Every try failed without proof that the peer is dead. This many messages are lost. */
  lostMessages(messages: number): void;
  /** The connection cannot be used any more. */
  closed(): void;
  readonly backoff: RetryBackoff;
}

export class Peer {
  readonly id: string;
  readonly #options: PeerOptions;
  /** Messages that were sent before the connection is made. */
  #waiting: Buffer[] = [];
  readonly #outcome: Promise<SendOutcome>;
  #socket: Socket | undefined;
  #corked = false;
  #closed = false;

  constructor(id: string, way: PeerOptions) {
    this.id = id;
    this.#options = way;
    this.#outcome = this.#open();
  }

  /** Answers at once while connected. */
  send(frame: Buffer): SendOutcome | Promise<SendOutcome> {
    const socket = this.#socket;
    if (socket === undefined) {
      this.#waiting.push(frame);
      return this.#outcome;
    }
    if (socket.writableLength > STUCK_BYTES)
      throw storeAway(`instance ${this.id} has not read ${socket.writableLength} bytes of messages`);
    this.#write(socket, frame);
    return 'sent';
  }

  /** Bytes that are written already are still sent. */
  close(): void {
    this.#closed = true;
    this.#socket?.destroySoon();
  }

  /** Sends the frames of one turn together. */
  #write(socket: Socket, frame: Buffer): void {
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      afterTurn(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    socket.write(frame);
  }

  async #open(): Promise<SendOutcome> {
    try {
      for (let tries = 1; tries <= TRIES && !this.#closed; tries++) {
        const path = await this.#options.find();
        if (path === undefined) return this.#lost('suspect');
        const outcome = await this.#connect(path);
        if (outcome === 'connected') return 'sent';
        if (outcome === 'refused') return this.#lost('suspect');
        await new Promise<void>((next) => this.#options.backoff.wait(tries, next));
      }
      if (!this.#closed) this.#options.lostMessages(this.#waiting.length);
      return this.#lost('sent');
    } catch (error) {
      this.#lost('suspect');
      throw error;
    }
  }

  #connect(path: string): Promise<'connected' | 'refused' | 'unclear'> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.unref();
      socket.on('error', (error: NodeJS.ErrnoException) => {
        const { code = '' } = error;
        if (code === 'ECONNREFUSED') resolve('refused');
        else if (UNCLEAR.includes(code)) resolve('unclear');
        else reject(storeAway(`the mailbox of instance ${this.id} cannot be used: ${error.message}`, error));
      });
      socket.once('connect', () => {
        socket.once('close', () => this.#options.closed());
        // The peer never writes; reading notices when it closes.
        socket.resume();
        this.#socket = socket;
        this.#write(socket, PREAMBLE);
        for (const frame of this.#waiting) this.#write(socket, frame);
        this.#waiting = [];
        resolve('connected');
        if (this.#closed) socket.destroySoon();
      });
    });
  }

  #lost(outcome: SendOutcome): SendOutcome {
    this.#waiting = [];
    this.#options.closed();
    return outcome;
  }
}
