/**
 * One HTTP request and its answer. `node-exchange.ts` and `fetch-exchange.ts` are the two faces; the code above cannot
 * tell them apart. An answer is either one `respond`, or `openStream`, any number of `write`, and `end`. Every call
 * after the client disconnected is ignored.
 */
import { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest, ServerHttp2Stream } from 'node:http2';
import { Socket } from 'node:net';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { type MemoryUse, shareKey } from '../base/budget.ts';
import { nextPlace, onceRead } from '../base/system.ts';
import { internal, rpcError } from '../base/errors.ts';
import type { Notices, Refusal } from '../base/observe/notices.ts';
import type { WatchedRequest } from '../base/observe/watched-request.ts';
import type { TimeProvider } from '../base/types.ts';
import { Body, type BodyLimits, type BodyRead, RequestBytes, type RunningWork } from './body.ts';
import { CallerRequest } from './caller-request.ts';
import { type UnreadAnswer, type UnreadAnswers, wasCut } from './unread.ts';

export type HeaderList = ReadonlyArray<readonly [name: string, value: string]>;

export const JSON_HEADERS: HeaderList = [['Content-Type', 'application/json']];

/** A path of `listen()`, of all that it serves, as options name them but for a slash at the end. */
export interface ServedPath {
  readonly path: string;
  readonly paths: readonly string[];
}

/** What the exchanges of an endpoint share. */
export interface ExchangeHost {
  /** The address of the caller; `undefined`: unknown. */
  addressOf(incoming: IncomingMessage | Http2ServerRequest | undefined): string | undefined;
  /** Takes the error that an exchange failed with, before it is answered. */
  report(cause: unknown): void;
  readonly notices: Notices;
  readonly memory: MemoryUse;
  readonly unread: UnreadAnswers;
  readonly time: Required<TimeProvider>;
  /** Between comments on a stream whose client has taken everything. `Infinity`: none. */
  readonly keepAliveMs: number;
  /** `false`: the endpoint is stateless. */
  readonly keepsSessions: boolean;
  /** An HTTP/1 connection was cut, because this many of its requests were open. */
  cutCrowded(requests: number): void;
}

/** Proxies send the next request when they have the answer to the last one. Clients that pipeline send some ten. */
export const OPEN_REQUESTS = 16;

/** A connection that is silent for this long is probed by TCP. */
const PROBE_AFTER_MS = 60_000;

/** What a request came on: an HTTP/1 connection, or a stream of HTTP/2, which has one request. */
type ClientConnection = Socket | ServerHttp2Stream;

/** The open requests of a connection. `node:http` tells only the first of them that the connection closed. */
const openRequests = new WeakMap<ClientConnection, Set<Exchange>>();

/** `undefined`: an adapter passed none, or what only looks like one. */
export function connectionOf(
  incoming: IncomingMessage | Http2ServerRequest | undefined,
): ClientConnection | undefined {
  if (incoming?.httpVersionMajor === 2 && 'stream' in incoming) return incoming.stream;
  return incoming?.httpVersionMajor === 1 && incoming.socket instanceof Socket
    ? incoming.socket
    : undefined;
}

function openOn(connection: ClientConnection): Set<Exchange> {
  const open = new Set<Exchange>();
  openRequests.set(connection, open);
  // Nothing is written to a client that waits for one JSON answer, so only this finds that it is
  // dead.
  if (connection instanceof Socket) connection.setKeepAlive(true, PROBE_AFTER_MS);
  connection.once('close', () => {
    for (const exchange of open) exchange.connectionClosed();
  });
  return open;
}

export abstract class Exchange extends CallerRequest implements UnreadAnswer {
  /** The body as the caller of the endpoint parsed it, when it did. */
  parsedBody: unknown;
  /** `ClientConnection` is no field of HTTP/2, and Node warns of it. */
  readonly isHttp2: boolean;
  readonly relayOrigin = undefined;
  /** Set once the session of the request is known. Every answer then carries it as `Mcp-Session-Id`. */
  sessionId: string | undefined = undefined;
  /** Set by `listen()`. */
  served: ServedPath | undefined = undefined;
  /** Set where requests are listened to. */
  override watched: WatchedRequest | undefined = undefined;
  readonly host: ExchangeHost;
  /** How the answer is over: it is complete, or its client disconnected before. */
  protected over: 'complete' | 'left' | undefined = undefined;
  /** The answer is a stream, and its head was sent. */
  protected isStream = false;
  /** While it counts this exchange. */
  protected connection: ClientConnection | undefined = undefined;
  /** In the order of all bodies. */
  place = 0;
  /** Made when its user is known. */
  #held: RequestBytes | undefined = undefined;
  /** `undefined` once the exchange is over. */
  #incoming: IncomingMessage | Http2ServerRequest | undefined;
  #onClose: Array<() => unknown> | undefined;

  constructor(
    host: ExchangeHost,
    given: Pick<CallerRequest, 'method' | 'url' | 'headers'>,
    authInfo: AuthInfo | undefined,
    parsedBody: unknown,
    incoming?: IncomingMessage | Http2ServerRequest,
    clientAddress = host.addressOf(incoming),
  ) {
    super(given, authInfo, clientAddress);
    this.host = host;
    this.parsedBody = parsedBody;
    this.isHttp2 = incoming?.httpVersionMajor === 2;
    this.#incoming = incoming;
  }

  /** The host, and its port, that the client asks for: `Host`, or what HTTP/2 has in its place. */
  get authority(): string | undefined {
    return this.header(':authority') ?? this.header('host');
  }

  /** Calls `serve` once, by `onceRead`, with what `body` has read; or never when the client disconnects first. */
  protected abstract receive(body: Body, serve: BodyRead): void;
  /**
   * Adds a field to the answer, whatever the answer will be. A field that middleware has set stays, and `Vary` grows.
   */
  abstract addHeader(name: string, value: string): void;
  /** Bytes that were written and that the client's connection has not taken yet. */
  abstract readonly pendingBytes: number;
  /** Throws where HTTP does not allow the answer, which was not sent then. */
  protected abstract sendAnswer(
    status: number,
    headers: HeaderList,
    body: string | undefined,
  ): void;
  protected abstract sendHead(headers: HeaderList): void;
  protected abstract send(chunk: string): void;
  /** The exchange is over: ends a complete stream. Calls `leaveConnection` once the connection has the answer. */
  protected abstract release(): void;
  /** The client has taken everything, or will take nothing more. */
  protected abstract taken(): void;
  /** Calls `left` when the client disconnects, where its connection does not tell. */
  protected abstract listen(): void;
  /** Cuts the answer, where its connection is not known. */
  protected abstract cutAnswer(): void;

  /**
   * Counts the request on its connection, where that is known. `false`: the connection has too many open requests and
   * is cut, or was cut before, and `node:http` parses the rest of what it has read.
   */
  open(): boolean {
    const connection = connectionOf(this.#incoming);
    if (connection === undefined) this.listen();
    else if (connection.destroyed) this.left();
    else {
      const open = openRequests.get(connection) ?? openOn(connection);
      this.connection = connection;
      open.add(this);
      if (open.size <= OPEN_REQUESTS) return true;
      this.host.cutCrowded(open.size);
      this.cut();
    }
    return !this.closed;
  }

  /** Node's request, where it is known and the exchange is not over. */
  get incoming(): IncomingMessage | Http2ServerRequest | undefined {
    return this.#incoming;
  }

  /** Cuts the connection, and ends each request on it now: until Node has closed it, their bytes would be cut again. */
  cut(): void {
    const { connection } = this;
    if (connection === undefined) return this.cutAnswer();
    // A stream of HTTP/2 that is destroyed without an error looks to its client like a complete answer.
    connection.destroy(connection instanceof Socket ? undefined : wasCut());
    for (const exchange of openRequests.get(connection) ?? []) exchange.connectionClosed();
  }

  protected leaveConnection(): void {
    if (this.connection !== undefined) openRequests.get(this.connection)?.delete(this);
    this.connection = undefined;
  }

  connectionClosed(): void {
    this.left();
    this.taken();
  }

  /**
   * Calls back once, or never when the client disconnects first. A body that exceeds `limits`, or finds no memory, is
   * refused. A parsed body is read from its JSON.
   */
  readBody(limits: BodyLimits, done: BodyRead): void {
    if (this.closed) return;
    this.place = nextPlace();
    const body = new Body(this.#charged, limits);
    const { parsedBody } = this;
    // The turn and the parser call back outside of the async context that middleware entered.
    const context = new AsyncResource('sojourn.request');
    const serve: BodyRead = (read) => {
      if (this.over === undefined) context.runInAsyncScope(done, undefined, read);
    };
    if (parsedBody === undefined) this.receive(body, serve);
    else onceRead(this, () => serve(body.readParsed(parsedBody)));
  }

  get #charged(): RequestBytes {
    return (this.#held ??= new RequestBytes(this.host.memory, this.share, this.headers));
  }

  respond(status: number, headers: HeaderList, body?: string): void {
    if (this.over !== undefined || this.isStream) return;
    if (body !== undefined && this.host.unread.refuses(this, body.length)) return;
    this.watched?.head(status);
    this.sendAnswer(status, headers, body);
    this.#finish('complete');
    this.release();
  }

  openStream(headers: HeaderList): void {
    if (this.closed || this.isStream) return;
    this.watched?.head(200);
    this.sendHead(headers);
    this.isStream = true;
  }

  write(chunk: string): void {
    if (!this.closed && !this.host.unread.refuses(this, chunk.length)) this.send(chunk);
  }

  end(): void {
    if (this.over !== undefined) return;
    this.#finish('complete');
    this.release();
  }

  protected left(): void {
    const listeners = this.#onClose;
    if (this.over !== undefined) return;
    this.#finish('left');
    for (const fn of listeners ?? []) guarded(this, fn);
    this.release();
  }

  #finish(how: 'complete' | 'left'): void {
    this.over = how;
    this.#incoming = undefined;
    // They hold the call, and no client disconnects from a complete answer.
    this.#onClose = undefined;
    this.watched?.over(this, how === 'left');
    this.#held?.release();
  }

  get closed(): boolean {
    return this.over !== undefined;
  }

  /** Emits the notice of a refusal, which is answered next. */
  refused(refusal: Refusal): void {
    this.watched?.refused(refusal);
    const sessionId = this.header('mcp-session-id');
    this.host.notices.emit({ kind: 'requestRefused', ...refusal, sessionId, exchange: this });
  }

  get share(): string {
    return shareKey(this.userKey, this.clientAddress);
  }

  /**
   * Charges bytes that this request makes the process hold to the memory budget, until its answer is complete or its
   * client disconnects. `false`: there is no room. Bodies that `readBody` reads are charged already. The first charge of a
   * user that holds much takes the header fields along.
   */
  holds(bytes: number): boolean {
    return this.over === undefined && this.#charged.holds(bytes);
  }

  /** The same for the header fields of a request that has no body, or whose body may come late. */
  holdsFields(): boolean {
    return this.#charged.holdsFields();
  }

  heldBy(work: RunningWork, own?: number): void {
    this.#held?.heldBy(work, own);
  }

  fail(cause: unknown): void {
    this.host.report(cause);
    try {
      if (this.isStream) this.cut();
      // It is no refusal, and reads nothing of the request, which may be what failed.
      else
        this.respond(
          500,
          JSON_HEADERS,
          JSON.stringify({ jsonrpc: '2.0', error: rpcError(internal(cause)), id: null }),
        );
    } catch (answering) {
      this.host.report(answering);
      this.cut();
    }
  }

  onClose(fn: () => unknown): void {
    if (this.over === 'complete') return;
    if (this.closed) guarded(this, fn);
    else (this.#onClose ??= []).push(fn);
  }
}

/**
 * Runs a part of serving a request that nothing awaits, such as a socket callback or started work. Without this guard,
 * an error or a rejection there would end the process.
 */
export function guarded(request: Pick<CallerRequest, 'fail'>, work: () => unknown): void {
  try {
    const done = work();
    if (done instanceof Promise) done.catch((cause: unknown) => request.fail(cause));
  } catch (cause) {
    request.fail(cause);
  }
}
