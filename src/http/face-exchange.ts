/**
 * What the exchanges of both faces have in common: the request as handlers see it, the bytes it holds, the open
 * requests of its connection, and the callbacks for when its client disconnects.
 */
import { Socket } from 'node:net';
import type { Refusal } from '../observe/notices.ts';
import type { WatchedRequest } from '../observe/watched-request.ts';
import type { McpHttpRequest } from '../types.ts';
import { guarded } from './answer.ts';
import { RequestBytes } from './body.ts';
import { shareKey } from '../base/budget.ts';
import { type AnswerEnd, closeSignal, type ExchangeHost, type HeaderFields, type RunningWork } from './exchange.ts';
import { createRequestView, type RequestSource } from './request-view.ts';

/** Proxies send the next request when they have the answer to the last one. Clients that pipeline send some ten. */
export const OPEN_REQUESTS = 16;

/** The open requests of an HTTP/1 connection. `node:http` tells only the first of them that the connection closed. */
const openRequests = new WeakMap<Socket, Set<FaceExchange>>();

function openOn(connection: Socket): Set<FaceExchange> {
  const open = new Set<FaceExchange>();
  openRequests.set(connection, open);
  connection.once('close', () => {
    for (const exchange of open) exchange.connectionClosed();
  });
  return open;
}

export abstract class FaceExchange implements RequestSource {
  readonly relayOrigin = undefined;
  user: string | undefined = undefined;
  sessionId: string | undefined = undefined;
  protected readonly host: ExchangeHost;
  protected readonly held: RequestBytes;
  protected over: AnswerEnd | undefined = undefined;
  /** The HTTP/1 connection, while it counts this exchange. The server of HTTP/2 bounds the streams of a connection. */
  protected connection: Socket | undefined = undefined;
  #watched: WatchedRequest | undefined;
  #view: McpHttpRequest | undefined;
  #signal: AbortSignal | undefined;
  #listens = false;
  #onClose: Array<() => unknown> | undefined;

  constructor(host: ExchangeHost) {
    this.host = host;
    this.held = new RequestBytes(host.memory, this);
  }

  abstract readonly method: string;
  abstract readonly url: string;
  abstract authInfo: RequestSource['authInfo'];
  abstract readonly clientAddress: string | undefined;
  abstract readonly node: RequestSource['node'];
  abstract headerFields(): HeaderFields;
  abstract absoluteUrl(): string;
  abstract fail(cause: unknown): void;
  abstract header(name: string): string | undefined;
  /** Calls `left` when the client disconnects. */
  protected abstract listenToClose(): void;
  /** Nothing more is sent. Calls `leaveConnection` once the client has what was sent, or the connection has it. */
  protected abstract finished(): void;
  /** The callbacks about a client that disconnected have run. */
  protected abstract afterLeft(): void;

  /**
   * Counts the request on its connection, where that is known. `false`: the connection has too many open requests and
   * is cut, or was cut before, and `node:http` parses the rest of what it has read.
   */
  protected openOn(connection: Socket | undefined): boolean {
    // An adapter may pass what only looks like a socket.
    if (!(connection instanceof Socket)) this.listen();
    else if (connection.destroyed) this.left();
    else {
      const open = openRequests.get(connection) ?? openOn(connection);
      this.connection = connection;
      open.add(this);
      if (open.size <= OPEN_REQUESTS) return true;
      this.host.cutCrowded(open.size);
      connection.destroy();
      this.left();
    }
    return !this.closed;
  }

  protected leaveConnection(): void {
    if (this.connection !== undefined) openRequests.get(this.connection)?.delete(this);
    this.connection = undefined;
  }

  connectionClosed(): void {
    this.left();
  }

  protected finish(how: AnswerEnd): void {
    this.over = how;
    // They hold the call, and no client disconnects from a complete answer.
    this.#onClose = undefined;
    this.#watched?.over(this, how === 'left');
    this.held.release();
    this.finished();
  }

  get closed(): boolean {
    return this.over !== undefined;
  }

  get watched(): WatchedRequest | undefined {
    return this.#watched;
  }

  watch(request: WatchedRequest): void {
    this.#watched = request;
  }

  refused(refusal: Refusal): void {
    this.host.notices.refused(this, refusal, this.#watched);
  }

  get request(): McpHttpRequest {
    return (this.#view ??= createRequestView(this));
  }

  get signal(): AbortSignal {
    return (this.#signal ??= closeSignal(this));
  }

  get share(): string {
    return shareKey(this.user, this.clientAddress);
  }

  holds(bytes: number): boolean {
    return this.over === undefined && this.held.take(bytes);
  }

  heldBy(work: RunningWork, own?: number): void {
    this.held.heldBy(work, own);
  }

  onClose(fn: () => unknown): void {
    if (this.over === 'left' || (this.over === undefined && this.closed)) return guarded(this, fn);
    if (this.over === 'complete') return;
    (this.#onClose ??= []).push(fn);
    this.listen();
  }

  protected listen(): void {
    if (this.#listens || this.over !== undefined) return;
    this.#listens = true;
    this.listenToClose();
  }

  protected left(): void {
    const listeners = this.#onClose;
    this.#onClose = undefined;
    if (this.over !== undefined) return;
    this.finish('left');
    for (const fn of listeners ?? []) guarded(this, fn);
    this.afterLeft();
  }
}
