/**
 * Connections of several workers on one socket. Each worker accepts connections of all, and a session lives in one of
 * them. So a worker looks at what a connection sends first, and passes the connection to the worker that the session
 * id names, by way of the supervisor:
 *
 *     accepted ──a whole head names another worker──▶ passing ──sent──▶ closed here, open there
 *         │                                              └──not sent──▶ served here
 *         └──anything else──▶ served here
 *
 * The other worker gets the bytes that were read. Reading stops before the descriptor is sent, so two processes never
 * read one connection. A connection is passed once: where a later request names another session, that request is relayed.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { orUndefined } from '../base/or-undefined.ts';
import { workerOf } from '../base/worker-ids.ts';
import type { SessionsHere } from '../http/listen/listen.ts';
import { AwakeCheck } from './awake-check.ts';
import type { MessageOf, PassedHandle, WorkerRole } from './worker-role.ts';

/** Connections that the supervisor has not taken yet. Above this number they stay, and their calls are relayed. */
const MAX_PASSING = 64;
/**
 * A supervisor has little to do. If it has not answered by then, it gets no connection and calls
 * are relayed.
 */
const AWAKE_MS = 500;

/** What of `net.Socket` and `net.Server` has no public name. */
interface UvReading {
  readStart(): number;
  readStop?: () => number;
}
interface UvAccepting {
  onconnection?: (status: number, handle: object) => void;
}

/** Clients send the head in one piece. A head in several pieces is served where it arrives. */
const HEAD_END = '\r\n\r\n';
const SESSION_ID = /\r\nmcp-session-id:[ \t]*([\x21-\x7e]+)[ \t]*\r\n/i;

/** The worker as it passes connections. */
type PassingWorker = Pick<WorkerRole, 'number' | 'orders' | 'report' | 'pass'>;

export class PassedConnections {
  readonly #server: Server;
  readonly #worker: PassingWorker;
  readonly #supervisor: AwakeCheck;
  /** How many workers the supervisor has. */
  readonly #count: number;
  #passing = 0;
  /** Whether a session is live in this process, whatever its id names. */
  readonly #sessions: SessionsHere;
  readonly #silentMs: number;
  /** What `node:http` does with a connection. */
  readonly #serve: (socket: Socket) => void;
  /** Connections that have sent nothing. */
  readonly #unread = new Set<Socket>();
  /** What another worker has read from the connection that is received in this turn. */
  #received: Buffer | undefined;

  /** `silentMs`: a connection that sends nothing for this long is closed. */
  constructor(
    worker: PassingWorker,
    count: number,
    server: Server,
    sessions: SessionsHere,
    silentMs: number,
  ) {
    this.#worker = worker;
    this.#count = count;
    this.#supervisor = new AwakeCheck({ received: worker.orders, send: worker.report }, AWAKE_MS);
    this.#server = server;
    this.#sessions = sessions;
    this.#silentMs = silentMs;
    const [serve] = server.listeners('connection') as ((socket: Socket) => void)[];
    if (serve === undefined) throw new TypeError('node:http serves no connections');
    this.#serve = serve.bind(server);
    server.off('connection', serve);
    server.on('connection', (socket: Socket) => this.#accepted(socket));
    worker.orders.on('passed', ({ bytes }: MessageOf<'passed'>, handle?: PassedHandle) => {
      if (handle === undefined || this.#receive(Buffer.from(bytes), handle)) return;
      // This worker accepts no connections any more: any other one serves it.
      void worker.pass({ sojourn: 'pass', bytes }, handle).then(() => handle.close());
    });
  }

  /** `bytes`: what the other worker has read. `false`: this worker accepts no connections any more. */
  #receive(bytes: Buffer, handle: PassedHandle): boolean {
    const accepting = handleOf<UvAccepting>(this.#server);
    if (accepting?.onconnection === undefined) return false;
    this.#received = bytes;
    // Counts it as an accepted connection, or closes it where `maxConnections` is reached.
    accepting.onconnection(0, handle);
    this.#received = undefined;
    return true;
  }

  /** Closes the connections that have sent nothing: `node:http` does not know of them. */
  closeUnread(): void {
    for (const socket of this.#unread) socket.destroy();
  }

  #accepted(socket: Socket): void {
    const received = this.#received;
    if (received !== undefined) return this.#serveHere(socket, received);
    this.#unread.add(socket);
    const close = (): unknown => socket.destroy();
    const ended = (): void => void this.#unread.delete(socket);
    socket.setTimeout(this.#silentMs, close);
    socket.on('error', close).on('end', close).on('close', ended);
    socket.once('data', (bytes) => {
      socket.off('timeout', close).off('error', close).off('end', close).off('close', ended);
      socket.setTimeout(0);
      ended();
      this.#read(socket, bytes);
    });
  }

  #read(socket: Socket, bytes: Buffer): void {
    socket.pause();
    const id = sessionIdIn(bytes);
    const to = id === undefined || this.#sessions.has(id) ? undefined : this.#otherOf(id);
    const handle = handleOf<UvReading>(socket);
    if (to === undefined || handle?.readStop === undefined) return this.#serveHere(socket, bytes);
    // `socket` believes that its handle reads, and so does not start it again by itself.
    handle.readStop();
    socket.on('error', () => {});
    void this.#pass(to, bytes, handle).then((isSent) => {
      // Closing the descriptor here leaves the connection open there.
      if (isSent || socket.destroyed) return void socket.destroy();
      this.#serveHere(socket, bytes);
      handle.readStart();
    });
  }

  /** The worker in which a session was opened. `undefined`: this one, or unknown. */
  #otherOf(sessionId: string): number | undefined {
    const number = workerOf(sessionId) ?? Infinity;
    return number === this.#worker.number || number > this.#count ? undefined : number;
  }

  /** Resolves with `false` when the connection was not sent. */
  async #pass(to: number, bytes: Buffer, handle: object): Promise<boolean> {
    if (this.#passing >= MAX_PASSING) return false;
    this.#passing += 1;
    const isSent =
      (await this.#supervisor.isAwake()) &&
      (await this.#worker.pass({ sojourn: 'pass', to, bytes }, handle));
    this.#passing -= 1;
    return isSent;
  }

  #serveHere(socket: Socket, bytes: Buffer): void {
    socket.pause();
    socket.unshift(bytes);
    this.#serve(socket);
    socket.resume();
  }
}

function sessionIdIn(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return undefined;
  return SESSION_ID.exec(bytes.toString('latin1', 0, end + 2))?.[1];
}

const handleOf = <T>(of: Server | Socket): T | undefined =>
  orUndefined(() => (of as unknown as { _handle?: T | null })._handle) ?? undefined;
