/**
 * The socket of `listen()` or of an application's server, and how this process stops using it without failing a call:
 *
 *     serving ──stopAccepting──▶ leaving: nothing is accepted, every answer says `ConnectionState: close`
 *                     ──quiet──▶ closed: connections without further requests are closed
 *
 * A socket that was passed to the process (systemd, several workers) outlives it. A client that connects while no
 * process accepts waits in the kernel for the next process. The process's own socket closes with it. A client that
 * connects then is refused, and a proxy tries the next instance. On Linux the kernel's queue is known to be empty when
 * the socket closes (`accept-queue.ts`), unless filling it takes too long.
 *
 * A connection is closed under a client only if its client has not read `ConnectionState: close`. Such a client first gets a
 * quiet time to send one more request and read the header. That time begins at `stopAccepting`, or at the end of a
 * stream that ran then, because the next request may directly follow that end.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { fillQueue, queueOf } from './accept-queue.ts';
import { afterTurn, elapse } from '../../base/system.ts';
import type { TimeProvider } from '../../base/types.ts';

/**
 * How long a client may take for one more request: 500 ms where new connections wait for the next process, 2 s where
 * other instances take them. Counted in polls, so that the time grows when this process, and probably its clients, get
 * little CPU. It grows to four times as long at most: the drain of a worker has an end.
 */
const QUIET_POLLS = { alone: 100, others: 400 } as const;
const POLL_MS = 5;
/** A poll that takes longer counts for several. */
const LONGEST_POLL_MS = 20;
/** Hardly any client arrives unseen in such a turn. */
const QUICK_TURN_MS = 1;
/**
 * How long to wait for a quick turn without arrivals. After it, any turn without arrivals will do; after twice as long,
 * any turn.
 */
const TURN_MS = 500;
/** After this time a socket closes even with clients in its queue. */
const LAST_MS = 2_000;

/** The state of a connection. A request allocates nothing and adds no listener. */
interface ConnectionState {
  /** The last answer that began. */
  answer: ServerResponse | undefined;
  /** The client knows that the connection ends with that answer. */
  closeAnnounced: boolean;
  /** Polls that saw the connection without a request since `stopAccepting`. */
  quiet: number;
  /** It was about to be closed when a part of a request arrived. */
  requestArriving: boolean;
}

/** Whether other instances serve besides this process. */
export type Serving = 'alone' | 'others';

export class ListeningSocket {
  readonly #server: Server;
  readonly #time: Required<TimeProvider>;
  /** The socket was passed to the process and outlives it. */
  inherited: boolean;
  readonly #connections = new Map<Socket, ConnectionState>();
  /** Connections and requests so far. */
  #arrivals = 0;
  #leaving: Promise<void> | undefined;
  #isLeaving = false;
  #quietPolls = 0;

  constructor(server: Server, time: Required<TimeProvider>, inherited: boolean) {
    this.#server = server;
    this.#time = time;
    this.inherited = inherited;
    // Requests of TLS have the socket of this event.
    const event = server instanceof TlsServer ? 'secureConnection' : 'connection';
    server.on(event, (socket: Socket) => this.#accepted(socket));
    // The application's listener may send a head in its turn.
    server.prependListener('request', (req, res) => this.#began(req, res));
  }

  /**
   * Resolves when no connection is accepted any more and connected clients had time to read `ConnectionState: close`.
   * `isAwaited`: a request that was read needs new connections of its client. It is asked when all that had arrived is
   * read, in the turn that would stop listening.
   */
  stopAccepting(
    serving: Serving,
    socketCloses = false,
    isAwaited = (): boolean => false,
  ): Promise<void> {
    if (socketCloses) this.inherited = false;
    return (this.#leaving ??= this.#stopAccepting(serving, isAwaited));
  }

  /** A client whose stream has ended since is still within its quiet time. */
  get expectsRequests(): boolean {
    return this.#quiet().length > 0;
  }

  #accepted(socket: Socket): ConnectionState {
    this.#arrivals += 1;
    const connection = {
      answer: undefined,
      closeAnnounced: false,
      quiet: 0,
      requestArriving: false,
    };
    this.#connections.set(socket, connection);
    socket.on('close', () => this.#connections.delete(socket));
    return connection;
  }

  #began({ method, headers, socket }: IncomingMessage, res: ServerResponse): void {
    // A server that listens already may have accepted it before.
    const connection = this.#connections.get(socket) ?? this.#accepted(socket);
    this.#arrivals += 1;
    connection.answer = res;
    // A GET stream ends at the latest with the drain. Its head is the only place for `ConnectionState: close`.
    connection.closeAnnounced =
      this.#isLeaving ||
      (method === 'GET' && headers.accept?.includes('text/event-stream') === true);
    if (connection.closeAnnounced) res.setHeader('Connection', 'close');
  }

  async #stopAccepting(serving: Serving, isAwaited: () => boolean): Promise<void> {
    this.#quietPolls = QUIET_POLLS[serving];
    for (let isOpen = true; isOpen;) {
      await this.#inQuietTurn((isLast, done) => {
        isOpen = isAwaited();
        if (isOpen) done(true);
        else this.#stopListening(isLast, done);
      });
      if (isOpen) await this.#poll();
    }
    this.#isLeaving = true;
    for (const connection of this.#connections.values()) {
      const { answer } = connection;
      if (answer === undefined || answer.headersSent) continue;
      answer.setHeader('Connection', 'close');
      connection.closeAnnounced = true;
    }
    void this.#watch();
    for (let polls = 0; this.#unannounced().length > 0 && polls <= this.#quietPolls;)
      polls += await this.#poll();
  }

  async #watch(): Promise<void> {
    while (this.#unannounced().length > 0) {
      const quiet = this.#quiet();
      if (
        quiet.length > 0 &&
        quiet.every(([, connection]) => connection.quiet >= this.#quietPolls)
      ) {
        await this.#inQuietTurn((_, done) => {
          this.#close();
          done(true);
        });
        continue;
      }
      const polls = await this.#poll();
      for (const [, connection] of this.#quiet()) connection.quiet += polls;
    }
  }

  /** Resolves with how many polls it counts for. */
  async #poll(): Promise<number> {
    const began = this.#time.monotonic();
    await elapse(this.#time, POLL_MS);
    return Math.max(1, Math.ceil((this.#time.monotonic() - began) / LONGEST_POLL_MS));
  }

  #stopListening(isLast: boolean, done: (isDone: boolean) => void): void {
    const close = (): void => {
      // Not `http.Server.close`: that cuts idle connections at once, even under a request that is on its way.
      NetServer.prototype.close.call(this.#server);
      done(true);
    };
    const queue = isLast || this.inherited ? undefined : queueOf(this.#server);
    if (queue === undefined) close();
    else fillQueue(queue, (isFull) => (isFull ? close() : done(false)));
  }

  #close(): void {
    const quiet = this.#quiet();
    this.#server.closeIdleConnections();
    for (const [socket, connection] of quiet) {
      connection.requestArriving = true;
      // Node does not count a connection without any request as idle: its first request may be on the way.
      if (connection.answer === undefined && socket.bytesRead === 0) socket.destroy();
    }
  }

  /**
   * Closing a listening socket resets clients that are connected and not accepted yet. Closing a connection resets a
   * request that was sent and not read yet. A proxy may not send such a request again. So something is closed only at
   * the end of a quick turn in which nothing arrived: hardly any client can have arrived since. (Node accepts one
   * connection per turn.)
   *
   * `act` reports whether it closed something. If it did not, it is called again in another turn, except after the
   * last.
   */
  #inQuietTurn(act: (isLast: boolean, done: (isDone: boolean) => void) => void): Promise<void> {
    const time = this.#time;
    const from = time.monotonic();
    return new Promise((closed) => {
      const turn = (arrivals: number, began: number): void => {
        const now = time.monotonic();
        const late = now - from;
        const isQuiet =
          arrivals === this.#arrivals && (now - began < QUICK_TURN_MS || late > TURN_MS);
        const next = (isDone: boolean): unknown =>
          isDone ? closed() : afterTurn(() => turn(this.#arrivals, now));
        if (isQuiet || late > 2 * TURN_MS) act(late > LAST_MS, next);
        else next(false);
      };
      // The end of this turn. The next turn has looked for arrivals.
      afterTurn(() => turn(-1, from));
    });
  }

  /** Connections whose clients may still send a request. */
  #unannounced(): [Socket, ConnectionState][] {
    return [...this.#connections].filter(
      ([, { closeAnnounced, requestArriving }]) => !closeAnnounced && !requestArriving,
    );
  }

  /** The connections among those that have no answer to wait for. */
  #quiet(): [Socket, ConnectionState][] {
    return this.#unannounced().filter(
      ([, { answer }]) => answer === undefined || answer.writableFinished,
    );
  }
}
