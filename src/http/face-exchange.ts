/**
 * What the exchanges of both faces have in common: the request as handlers see it, the bytes it holds, and the
 * callbacks for when its client disconnects.
 */
import type { Socket } from 'node:net';
import type { Refusal } from '../observe/notices.ts';
import type { WatchedRequest } from '../observe/watched-request.ts';
import type { McpHttpRequest } from '../types.ts';
import { guarded } from './answer.ts';
import { RequestBytes } from './body.ts';
import { shareKey } from '../base/budget.ts';
import { type AnswerEnd, closeSignal, type ExchangeHost, type HeaderFields, type RunningWork } from './exchange.ts';
import { createRequestView, type RequestSource } from './request-view.ts';
import { type Holder, hearsTurnEnd } from './turn.ts';

/** How many requests of a connection are open. */
const OPEN = Symbol('sojourn.open');
export type HttpConnection = Socket & { [OPEN]?: number };

/** Proxies send the next request when they have the answer to the last one. Clients that pipeline send some ten. */
export const OPEN_REQUESTS = 16;

export abstract class FaceExchange implements RequestSource, Holder {
  readonly relayOrigin = undefined;
  user: string | undefined = undefined;
  sessionId: string | undefined = undefined;
  protected readonly host: ExchangeHost;
  protected readonly held: RequestBytes;
  protected over: AnswerEnd | undefined = undefined;
  #watched: WatchedRequest | undefined;
  #view: McpHttpRequest | undefined;
  #signal: AbortSignal | undefined;
  /** Whether the end of the connection is listened to. */
  protected listening = false;
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
  /** The HTTP/1 connection, where it is known. The server of HTTP/2 bounds the streams of a connection by itself. */
  protected abstract readonly connection: HttpConnection | undefined;
  /** The connection that counts this exchange. */
  #counted: HttpConnection | undefined = undefined;
  abstract header(name: string): string | undefined;
  abstract headerFields(): HeaderFields;
  abstract absoluteUrl(): string;
  abstract fail(cause: unknown): void;
  /** Calls `left` when the client disconnects. */
  protected abstract listenToClose(): void;
  /** Nothing more is sent. Calls `uncount`, once `node:http` does not hold the answer behind others. */
  protected abstract finished(): void;
  /** The callbacks about a client that disconnected have run. */
  protected abstract afterLeft(): void;

  /**
   * Counts the request on its connection. `false`: the connection has too many open requests and is cut, or was cut
   * before, and `node:http` parses the rest of what it has read.
   */
  open(): boolean {
    // Most requests are answered within their turn, and no client is known to leave within it.
    hearsTurnEnd(this, true);
    const { connection } = this;
    if (connection === undefined) return true;
    if (!connection.destroyed) {
      const open = (connection[OPEN] ?? 0) + 1;
      connection[OPEN] = open;
      this.#counted = connection;
      if (open <= OPEN_REQUESTS) return true;
      connection.destroy();
      this.host.cutCrowded(open);
    }
    this.left();
    return false;
  }

  protected uncount(): void {
    if (this.#counted !== undefined) this.#counted[OPEN] = (this.#counted[OPEN] ?? 1) - 1;
    this.#counted = undefined;
  }

  protected finish(how: AnswerEnd): void {
    this.over = how;
    // They hold the call, and no client disconnects from a complete answer.
    this.#onClose = undefined;
    this.#watched?.over(this, how === 'left');
    hearsTurnEnd(this, false);
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
    if (this.over !== undefined) return false;
    const heldNothing = this.held.charged === 0;
    if (!this.held.take(bytes)) return false;
    // Its body may come in a later turn.
    if (heldNothing && this.held.charged > 0 && this.#watched === undefined) hearsTurnEnd(this, true);
    return true;
  }

  heldBy(work: RunningWork, own?: number): void {
    this.held.heldBy(work, own);
  }

  /** Its client may leave before the answer: then what it holds must be given back, and its notice says so. */
  outlivesTurn(): void {
    if (this.over === undefined && (this.held.charged > 0 || this.#watched !== undefined)) this.listen();
  }

  onClose(fn: () => unknown): void {
    if (this.over === 'left' || (this.over === undefined && this.closed)) return guarded(this, fn);
    if (this.over === 'complete') return;
    (this.#onClose ??= []).push(fn);
    this.listen();
  }

  protected listen(): void {
    if (this.listening || this.over !== undefined) return;
    this.listening = true;
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
