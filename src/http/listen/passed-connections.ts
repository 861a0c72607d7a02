/**
 * Connections of several processes on one socket. Each process accepts connections of all, and a session lives in one of
 * them. So a process looks at what a connection sends first, and passes the connection to the sibling that the session
 * id names:
 *
 *     accepted ──a whole head names a sibling──▶ passing ──sent──▶ closed here, open there
 *         │                                         └──not sent──▶ served here
 *         └──anything else──▶ served here
 *
 * The sibling gets the bytes that were read. Reading stops before the descriptor is sent, so two processes never read
 * one connection. A connection is passed once: where a later request names another session, that request is relayed.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { orUndefined } from '../../base/or-undefined.ts';

/** A connection of a process that another process can take. Node names no type for it. */
export type UvConnection = object;

/** The other processes that serve the same socket. */
export interface Siblings {
  /** The sibling in which a session was opened. `undefined`: in this process, or unknown. */
  of(sessionId: string): number | undefined;
  /** Resolves with `false` when the connection was not sent. */
  pass(to: number, bytes: Buffer, handle: UvConnection): Promise<boolean>;
  /** From now on `receiver` gets the connections that siblings pass. */
  receiveWith(receiver: ConnectionReceiver): void;
}

export interface ConnectionReceiver {
  /** `bytes`: what the sibling has read. `false`: this process accepts no connections any more. */
  receive(bytes: Buffer, handle: UvConnection): boolean;
}

/** What of `net.Socket` and `net.Server` has no public name. */
interface UvReading {
  readStart(): number;
  readStop?: () => number;
}
interface UvAccepting {
  onconnection?: (status: number, handle: UvConnection) => void;
}

/** Clients send the head in one piece. A head in several pieces is served where it arrives. */
const HEAD_END = '\r\n\r\n';
const SESSION_ID = /\r\nmcp-session-id:[ \t]*([\x21-\x7e]+)[ \t]*\r\n/i;

export class PassedConnections implements ConnectionReceiver {
  readonly #server: Server;
  readonly #siblings: Siblings;
  /** Whether a session is live in this process, whatever its id names. */
  readonly #sessions: SessionsHere;
  readonly #silentMs: number;
  /** What `node:http` does with a connection. */
  readonly #serve: (socket: Socket) => void;
  /** Connections that have sent nothing. */
  readonly #unread = new Set<Socket>();
  /** What a sibling has read from the connection that is received in this turn. */
  #received: Buffer | undefined;

  /** `silentMs`: a connection that sends nothing for this long is closed. */
  constructor(server: Server, siblings: Siblings, sessions: SessionsHere, silentMs: number) {
    this.#server = server;
    this.#siblings = siblings;
    this.#sessions = sessions;
    this.#silentMs = silentMs;
    const [serve] = server.listeners('connection') as ((socket: Socket) => void)[];
    if (serve === undefined) throw new TypeError('node:http serves no connections');
    this.#serve = serve.bind(server);
    server.off('connection', serve);
    server.on('connection', (socket: Socket) => this.#accepted(socket));
    siblings.receiveWith(this);
  }

  receive(bytes: Buffer, handle: UvConnection): boolean {
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
    const to = id === undefined || this.#sessions.has(id) ? undefined : this.#siblings.of(id);
    const handle = handleOf<UvReading>(socket);
    if (to === undefined || handle?.readStop === undefined) return this.#serveHere(socket, bytes);
    // `socket` believes that its handle reads, and so does not start it again by itself.
    handle.readStop();
    socket.on('error', () => {});
    void this.#siblings.pass(to, bytes, handle).then((isSent) => {
      // Closing the descriptor here leaves the connection open there.
      if (isSent || socket.destroyed) return void socket.destroy();
      this.#serveHere(socket, bytes);
      handle.readStart();
    });
  }

  #serveHere(socket: Socket, bytes: Buffer): void {
    socket.pause();
    socket.unshift(bytes);
    this.#serve(socket);
    socket.resume();
  }
}

/** The sessions of this process. */
export interface SessionsHere {
  has(id: string): boolean;
}

function sessionIdIn(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return undefined;
  return SESSION_ID.exec(bytes.toString('latin1', 0, end + 2))?.[1];
}

const handleOf = <T>(of: Server | Socket): T | undefined =>
  orUndefined(() => (of as unknown as { _handle?: T | null })._handle) ?? undefined;
