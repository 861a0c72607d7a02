/**
 * The connection that carries the instances of this process: it listens on their channels, holds a lock for each of
 * these, renews leases and sends messages.
 *
 *     closed ──ready()──▶ connecting ──▶ open ──lost──▶ closed
 *
 * A free lock means that no connection listens on the channel. That is a suspicion and no proof: the server may have
 * restarted, or the network may have been cut. When the connection is lost, so are messages on their way, and every
 * listener is called, because other instances may bury its instance now.
 *
 * Writes here do not wait for the disk: a crash of the server can lose the last renewals and deaths of leases. It loses
 * no death that a later write to a session rests on, because the disk gets both in the order in which they were made.
 */
import { Connection, type Server } from './connection.ts';
import { lockOf } from './statements.ts';

/** An instance that receives on this connection. */
export interface Listener {
  receive(text: string): void;
  lost(): void;
}

/** The server takes less than 8,000 bytes in a notification: the number of a piece and its sign are before it. */
const PIECE_BYTES = 7_900;

/** The pieces of a message, each with a sign before it: the last one a dot, the others a plus. */
export function* piecesOf(text: string): Generator<string> {
  const bytes = Buffer.from(text);
  for (let from = 0, to = 0; to < bytes.length; from = to) {
    to = Math.min(from + PIECE_BYTES, bytes.length);
    // Not within a character.
    while (((bytes[to] ?? 0) & 0xc0) === 0x80) to -= 1;
    yield (to < bytes.length ? '+' : '.') + bytes.toString('utf8', from, to);
  }
}

export class InstanceConnection extends Connection {
  readonly #listeners = new Map<string, Listener>();
  /** The pieces of a message that is not complete. Those of one message follow each other. */
  #begun = '';

  constructor(server: Server) {
    super(server, {
      quick: true,
      notified: (channel, payload) => this.#take(channel, payload),
      first: () => {
        this.#begun = '';
        return [...this.#listeners.keys()].map(listenOn);
      },
      lost: () => {
        for (const { lost } of this.#listeners.values()) lost();
      },
    });
  }

  async listen(channel: string, listener: Listener): Promise<void> {
    this.#listeners.set(channel, listener);
    await this.query(listenOn(channel));
  }

  /** The server may go on sending until the connection ends; the lease that names the channel is over before. */
  stopListening(channel: string): void {
    this.#listeners.delete(channel);
  }

  isListening(channel: string): boolean {
    return this.#listeners.has(channel);
  }

  #take(channel: string, payload: string): void {
    const sign = payload.search(/[+.]/);
    this.#begun += payload.slice(sign + 1);
    if (payload[sign] === '+') return;
    const text = this.#begun;
    this.#begun = '';
    this.#listeners.get(channel)?.receive(text);
  }
}

/** An earlier connection of this process may still be open on the server, and hold the lock too. */
const listenOn = (channel: string): string =>
  `LISTEN ${channel}; SELECT pg_advisory_lock_shared(${lockOf(`'${channel}'`)})`;
