/**
 * The way to the mailbox of one other instance: one connection, so that its messages arrive in order.
 *
 *     connecting ──▶ connected ──▶ gone       the peer left or died; the next message starts anew
 *         │  ╰─ no file, no room: tried again; they prove nothing
 *         ╰──▶ suspect                        refused: nobody listens there any more
 *
 * What was written when a peer dies is lost, and its sender told that it was sent: whoever needs an answer waits for one.
 */
import { connect, type Socket } from 'node:net';
import { storeAway } from '../../errors.ts';
import { afterTurn } from '../../options/system.ts';
import { GREETING } from './frames.ts';
import type { Patience } from './patience.ts';

/** Of turns and short timers, some 100 ms in all: a socket is made anew in less. */
const TRIES = 14;
/** Unread bytes past which a peer counts as stuck. The relay's own credit is far below. */
const STUCK_BYTES = 67_108_864;

/** No file, no room, or gone while connecting: it may be back in a moment. */
const UNCLEAR = ['ENOENT', 'EAGAIN', 'ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT'];

export type Sent = 'sent' | 'suspect';

export interface PeerWay {
  /** Where it listens; undefined: it has no lease. Asked before every try. */
  find(): Promise<string | undefined>;
  /** Nobody answered, and nothing proves that nobody will: so many messages are lost. */
  missed(messages: number): void;
  /** It is of no more use. */
  gone(): void;
  readonly patience: Patience;
}

export class Peer {
  readonly id: string;
  readonly #way: PeerWay;
  /** Until it is connected. */
  #waiting: Buffer[] = [];
  readonly #outcome: Promise<Sent>;
  #socket: Socket | undefined;
  #corked = false;
  #closed = false;

  constructor(id: string, way: PeerWay) {
    this.id = id;
    this.#way = way;
    this.#outcome = this.#open();
  }

  /** At once when connected. */
  send(frame: Buffer): Sent | Promise<Sent> {
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

  /** What is written still leaves. */
  close(): void {
    this.#closed = true;
    this.#socket?.destroySoon();
  }

  /** The frames of one turn leave together. */
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

  async #open(): Promise<Sent> {
    try {
      for (let tries = 1; tries <= TRIES && !this.#closed; tries++) {
        const path = await this.#way.find();
        if (path === undefined) return this.#lost('suspect');
        const outcome = await this.#connect(path);
        if (outcome === 'connected') return 'sent';
        if (outcome === 'refused') return this.#lost('suspect');
        await new Promise<void>((next) => this.#way.patience.wait(tries, next));
      }
      if (!this.#closed) this.#way.missed(this.#waiting.length);
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
        socket.once('close', () => this.#way.gone());
        // The peer never writes: its end is all there is to read.
        socket.resume();
        this.#socket = socket;
        this.#write(socket, GREETING);
        for (const frame of this.#waiting) this.#write(socket, frame);
        this.#waiting = [];
        resolve('connected');
        if (this.#closed) socket.destroySoon();
      });
    });
  }

  #lost(outcome: Sent): Sent {
    this.#waiting = [];
    this.#way.gone();
    return outcome;
  }
}
