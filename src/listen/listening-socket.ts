/**
 * The socket of `listen()`, and how this process leaves it without failing a call:
 *
 *     serving ──leave──▶ leaving: nothing is accepted, every answer says `Connection: close`
 *                     ──quiet──▶ left: connections on which nothing more came are closed
 *
 * One that was passed to the process (systemd, several workers) outlives it: whoever connects while nobody accepts waits in the
 * kernel for the next process. Its own ends with it: whoever connects is refused, and a proxy tries the next instance. On Linux
 * the kernel's queue is known to hold nobody when it closes (`accept-queue.ts`), but for a socket that cannot come to it in time.
 *
 * A connection is closed under a client only when it was not told: it has a quiet while to ask once more and be told, from
 * the leave or from the end of the stream that ran then. Its next request may follow that end at once.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { fillQueue, queueOf } from './accept-queue.ts';
import { afterTurn, elapse } from '../options/system.ts';
import type { TimeProvider } from '../types.ts';

/**
 * How long a client has to ask once more: 500 ms where whoever connects waits for the next process, 2 s where other instances
 * take them. In polls: it is longer where this process does not get its turns, and its clients hardly theirs.
 */
const QUIET_POLLS = { alone: 100, others: 400 } as const;
const POLL_MS = 5;
/** How long a quiet turn is waited for; past it one in which nobody came will do, and past twice that any. */
const TURN_MS = 500;
/** Past it a socket closes with whoever is in its queue. */
const LAST_MS = 2_000;
/** So many turns show how quick one can be on this machine, as busy as it is now. */
const SAMPLE_TURNS = 50;
const NEARLY = 1.5;

/** What is known of a connection: per request nothing is made, and nothing listened to. */
interface Connection {
  /** The last one that began. */
  answer: ServerResponse | undefined;
  /** Its client knows that the connection ends with that answer. */
  told: boolean;
  /** Polls in which it was seen without a request, once the socket is left. */
  quiet: number;
  /** It was to be closed, but a part of a request has come. */
  spared: boolean;
}

/** Who serves besides this process. */
export type Serving = 'alone' | 'others';

export class ListeningSocket {
  readonly #server: Server;
  readonly #time: Required<TimeProvider>;
  readonly #inherited: boolean;
  readonly #connections = new Map<Socket, Connection>();
  /** Connections and requests so far. */
  #arrivals = 0;
  #leaving: Promise<void> | undefined;
  #isLeaving = false;
  #quietPolls = 0;

  /** `inherited`: it was passed to the process. */
  constructor(server: Server, time: Required<TimeProvider>, inherited: boolean) {
    this.#server = server;
    this.#time = time;
    this.#inherited = inherited;
    server.on('connection', (socket: Socket) => {
      this.#arrivals += 1;
      this.#connections.set(socket, { answer: undefined, told: false, quiet: 0, spared: false });
      socket.on('close', () => this.#connections.delete(socket));
    });
    server.on('request', (req, res) => this.#began(req, res));
  }

  /** Resolves when nobody is accepted any more, and those who are connected had their time to be told. */
  leave(serving: Serving): Promise<void> {
    return (this.#leaving ??= this.#leave(serving));
  }

  /** Of somebody whose stream has ended since: there is still that time to wait. */
  get awaits(): boolean {
    return this.#quiet().length > 0;
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

  async #leave(serving: Serving): Promise<void> {
    this.#quietPolls = QUIET_POLLS[serving];
    await this.#inQuietTurn((isLast, done) => this.#stopListening(isLast, done));
    this.#isLeaving = true;
    for (const connection of this.#connections.values()) {
      const { answer } = connection;
      if (answer === undefined || answer.headersSent) continue;
      answer.setHeader('Connection', 'close');
      connection.told = true;
    }
    void this.#watch();
    for (let polls = 0; this.#untold().length > 0 && polls <= this.#quietPolls; polls++) {
      await elapse(this.#time, POLL_MS);
    }
  }

  async #watch(): Promise<void> {
    while (this.#untold().length > 0) {
      const quiet = this.#quiet();
      if (quiet.length > 0 && quiet.every(([, connection]) => connection.quiet >= this.#quietPolls)) {
        await this.#inQuietTurn((_, done) => {
          this.#close();
          done(true);
        });
        continue;
      }
      await elapse(this.#time, POLL_MS);
      for (const [, connection] of this.#quiet()) connection.quiet += 1;
    }
  }

  #stopListening(isLast: boolean, done: (isDone: boolean) => void): void {
    const close = (): void => {
      // Not http's own: that cuts idle connections at once, under a request that is on its way.
      NetServer.prototype.close.call(this.#server);
      done(true);
    };
    const queue = isLast || this.#inherited ? undefined : queueOf(this.#server);
    if (queue === undefined) close();
    else fillQueue(queue, (isFull) => (isFull ? close() : done(false)));
  }

  #close(): void {
    const quiet = this.#quiet();
    this.#server.closeIdleConnections();
    for (const [socket, connection] of quiet) {
      connection.spared = true;
      // To Node one that never asked is not idle, it is about to ask.
      if (connection.answer === undefined && socket.bytesRead === 0) socket.destroy();
    }
  }

  /**
   * The kernel resets whoever is connected and not yet accepted when the socket closes, and whoever has asked and was not yet read
   * when the connection closes; a proxy may not send such a request again. So something closes at the end of a turn in which
   * nobody came, and that was one of the quickest: hardly anybody can have come since. (Node accepts one connection in a turn.)
   * `act` says whether it did; one that did not has another turn, except for the last.
   */
  #inQuietTurn(act: (isLast: boolean, done: (isDone: boolean) => void) => void): Promise<void> {
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
        const isDue = (nobodyCame && (isQuick || late > TURN_MS)) || late > 2 * TURN_MS;
        const next = (isDone: boolean): unknown => (isDone ? closed() : afterTurn(() => turn(this.#arrivals, now)));
        if (isDue) act(late > LAST_MS, next);
        else next(false);
      };
      // The end of this turn; the next one has looked whether somebody came.
      afterTurn(() => turn(-1, -Infinity));
    });
  }

  /** Connections whose clients may still send a request. */
  #untold(): [Socket, Connection][] {
    return [...this.#connections].filter(([, { told, spared }]) => !told && !spared);
  }

  /** Of those, the ones that have nothing to wait for. */
  #quiet(): [Socket, Connection][] {
    return this.#untold().filter(([, { answer }]) => answer === undefined || answer.writableFinished);
  }
}
