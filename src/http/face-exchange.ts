/**
 * What the exchanges of both faces have in common: the request as handlers see it, the bytes it holds, and the
 * callbacks for when its client disconnects.
 */
import type { Refusal } from '../observe/notices.ts';
import type { WatchedRequest } from '../observe/watched-request.ts';
import type { McpHttpRequest } from '../types.ts';
import { guarded } from './answer.ts';
import { RequestBytes } from './body.ts';
import { shareKey } from '../base/budget.ts';
import { type AnswerEnd, closeSignal, type ExchangeHost, type HeaderFields, type RunningWork } from './exchange.ts';
import { createRequestView, type RequestSource } from './request-view.ts';

export abstract class FaceExchange implements RequestSource {
  readonly relayOrigin = undefined;
  user: string | undefined = undefined;
  sessionId: string | undefined = undefined;
  protected readonly host: ExchangeHost;
  protected over: AnswerEnd | undefined = undefined;
  readonly #held: RequestBytes;
  #watched: WatchedRequest | undefined;
  #view: McpHttpRequest | undefined;
  #signal: AbortSignal | undefined;
  #listens = false;
  #onClose: Array<() => unknown> | undefined;

  constructor(host: ExchangeHost) {
    this.host = host;
    this.#held = new RequestBytes(host.memory, this);
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
  /** Nothing more is sent. */
  protected abstract finished(): void;
  /** The callbacks about a client that disconnected have run. */
  protected abstract afterLeft(): void;

  protected finish(how: AnswerEnd): void {
    this.over = how;
    // They hold the call, and no client disconnects from a complete answer.
    this.#onClose = undefined;
    this.#watched?.over(this, how === 'left');
    this.#held.release();
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
    return this.over === undefined && this.#held.take(bytes);
  }

  heldBy(work: RunningWork, own?: number): void {
    this.#held.heldBy(work, own);
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
