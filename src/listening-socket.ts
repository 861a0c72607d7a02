/**
 * The socket of `listen()`, and how this process leaves it without failing a call:
 *
 *     serving ──leave──▶ leaving: nothing is accepted, every answer says `Connection: close`
 *                     ──quiet──▶ left: connections on which nothing more came are closed
 *
 * One that was passed to the process (systemd, several workers) outlives it: whoever connects while nobody accepts waits in the
 * kernel for the next process. Its own ends with it: whoever connects is refused, and a proxy tries the next instance.
 *
 * A connection is closed under a client only when it was not told: `QUIET_MS` is its time to ask once more and be told.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { afterTurn, elapse } from './system.ts';
import type { TimeProvider } from './types.ts';

const QUIET_MS = 500;
const POLL_MS = 5;
/** How long a quiet turn is waited for; past it one in which nobody came will do, and past twice that any. */
const TURN_MS = 500;
/** So many turns show how quick one can be on this machine, as busy as it is now. */
const SAMPLE_TURNS = 50;
const NEARLY = 1.5;

/** What is known of a connection: per request nothing is made, and nothing listened to. */
interface Connection {
  /** The last one that began. */
  answer: ServerResponse | undefined;
  /** Its client knows that the connection ends with that answer. */
  told: boolean;
}

export class ListeningSocket {
  readonly #server: Server;
  readonly #time: Required<TimeProvider>;
  readonly #connections = new Map<Socket, Connection>();
  /** Connections and requests so far. */
  #arrivals = 0;
  #leaving: Promise<void> | undefined;
  #isLeaving = false;

  constructor(server: Server, time: Required<TimeProvider>) {
    this.#server = server;
    this.#time = time;
    server.on('connection', (socket: Socket) => {
      this.#arrivals += 1;
      this.#connections.set(socket, { answer: undefined, told: false });
      socket.on('close', () => this.#connections.delete(socket));
    });
    server.on('request', (req, res) => this.#began(req, res));
  }

  leave(): Promise<void> {
    return (this.#leaving ??= this.#leave());
  }

  #began({ method, headers, socket }: IncomingMessage, res: ServerResponse): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    this.#arrivals += 1;
    connection.answer = res;
    // A GET stream ends with the drain at the latest; its head is the only place to say so.
    connection.told = this.#isLeaving || (method === 'GET' && headers.accept?.includes('text/event-stream') === true);
    if (connection.told) res.setHeader('Connection', 'close');
  }

  async #leave(): Promise<void> {
    // Not http's own: that cuts idle connections at once, under a request that is on its way.
    await this.#inQuietTurn(() => NetServer.prototype.close.call(this.#server));
    this.#isLeaving = true;
    for (const connection of this.#connections.values()) {
      const { answer } = connection;
      if (answer === undefined || answer.headersSent) continue;
      answer.setHeader('Connection', 'close');
      connection.told = true;
    }
    const deadline = this.#time.monotonic() + QUIET_MS;
    while (this.#untold().length > 0 && this.#time.monotonic() < deadline) {
      await elapse(this.#time, POLL_MS);
    }
    await this.#inQuietTurn(() => this.#closeUntold());
  }

  #closeUntold(): void {
    const untold = this.#untold();
    this.#server.closeIdleConnections();
    for (const [socket, { answer }] of untold) {
      // Long streams: their clients have other things to do than to hurry a request behind the end.
      if (answer !== undefined) answer.once('finish', () => socket.end());
      // To Node one that never asked is not idle, it is about to ask.
      else if (socket.bytesRead === 0) socket.destroy();
    }
  }

  /**
   * The kernel resets whoever is connected and not yet accepted when the socket closes, and whoever has asked and was not yet read
   * when the connection closes; a proxy may not send such a request again. So something closes at the end of a turn in which
   * nobody came, and that was one of the quickest: hardly anybody can have come since. (Node accepts one connection in a turn.)
   */
  #inQuietTurn(close: () => void): Promise<void> {
    const time = this.#time;
    const from = time.monotonic();
    let [turns, quickest] = [0, Infinity];
    return new Promise((closed) => {
      const turn = (arrivals: number, began: number): void => {
        const now = time.monotonic();
        const took = now - began;
        turns += 1;
        quickest = Math.min(quickest, took);
        const nobodyCame = arrivals === this.#arrivals;
        const isQuick = turns > SAMPLE_TURNS && took <= NEARLY * quickest;
        const late = now - from;
        if ((nobodyCame && (isQuick || late > TURN_MS)) || late > 2 * TURN_MS) {
          close();
          closed();
        } else {
          afterTurn(() => turn(this.#arrivals, now));
        }
      };
      // The end of this turn; the next one has looked whether somebody came.
      afterTurn(() => turn(-1, -Infinity));
    });
  }

  /** Connections whose clients may still send a request. */
  #untold(): [Socket, Connection][] {
    return [...this.#connections].filter(([, { told }]) => !told);
  }
}
