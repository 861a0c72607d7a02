/**
 * The node face: an exchange directly on `node:http`. A call creates no web `Request`, `Response`, `Headers` or stream.
 * Headers are set one by one, so that `res.getHeader` works and headers that middleware set stay. A complete answer is
 * sent with its head in one `end`, which also adds `Content-Length`.
 */
import { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { bodyUnreadable } from '../errors.ts';
import { Body, linger, NO_BYTES } from './body.ts';
import { guarded, failWith } from './answer.ts';
import type { BodyRead, Exchange, ExchangeHost, HeaderFields, HeaderList } from './exchange.ts';
import { FaceExchange } from './face-exchange.ts';
import type { HostedStream } from './host-servers.ts';
import { mayLackFields, repeatedIn } from './repeated-field.ts';
import { SlowResponse, WATCHED_BYTES } from './slow-readers.ts';

export type NodeRequest = IncomingMessage & {
  auth?: AuthInfo | undefined;
  body?: unknown;
  originalUrl?: string;
};

export class NodeExchange extends FaceExchange implements Exchange {
  #req: NodeRequest | RequestHead;
  /** `undefined` once the answer is complete or the client disconnected. */
  #res: ServerResponse | undefined;
  #parsedBody: unknown;
  #slow: SlowResponse | undefined;
  #unwatchHost: (() => void) | undefined = undefined;

  constructor(req: NodeRequest, res: ServerResponse, parsedBody: unknown, host: ExchangeHost) {
    super(host);
    this.#req = req;
    this.#res = res;
    this.#parsedBody = parsedBody;
  }

  open(): boolean {
    const { httpVersionMajor, socket } = this.#req as NodeRequest;
    return this.openOn(httpVersionMajor === 1 ? socket : undefined);
  }

  protected finished(): void {
    const res = this.#res;
    // `node:http` holds the answer behind others.
    if (res?.socket === null && this.over === 'complete') res.once('socket', () => this.leaveConnection());
    else this.leaveConnection();
    this.#unwatchHost?.();
  }

  override connectionClosed(): void {
    this.left();
    this.#slow?.over();
  }

  get method(): string {
    return this.#req.method ?? 'GET';
  }
  get url(): string {
    return this.#req.originalUrl ?? this.#req.url ?? '/';
  }
  get repeatedField(): string | undefined {
    return 'rawHeaders' in this.#req ? repeatedIn(this.#req.rawHeaders) : undefined;
  }
  get mayLackFields(): boolean {
    return 'rawHeaders' in this.#req && mayLackFields(this.#req);
  }
  get authInfo(): AuthInfo | undefined {
    return this.#req.auth;
  }
  set authInfo(auth: AuthInfo | undefined) {
    (this.#req as NodeRequest).auth = auth;
  }
  get clientAddress(): string | undefined {
    const req = this.#req;
    return 'socket' in req ? req.socket.remoteAddress : undefined;
  }
  get parsedBody(): unknown {
    return this.#parsedBody;
  }
  get node(): { req: IncomingMessage; res: ServerResponse } | undefined {
    return this.#res === undefined ? undefined : { req: this.#req as NodeRequest, res: this.#res };
  }
  header(name: string): string | undefined {
    const value = this.#req.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }
  headerFields(): HeaderFields {
    return this.#req.headers;
  }
  absoluteUrl(): string {
    const scheme = isSecure(this.#req) ? 'https' : 'http';
    const host = this.header('host') ?? this.header(':authority') ?? 'localhost';
    const url = `${scheme}://${host}${this.url}`;
    // Handlers parse this URL. The request target may be any text, and so may `Host` where `allowedHosts` is not set.
    return URL.canParse(url) ? url : `${scheme}://localhost/`;
  }

  readBody(limit: number, idWithin: number, done: BodyRead): void {
    const req = this.#req as NodeRequest;
    if (req.readableEnded || req.destroyed) {
      // A body parser has read the stream. Like Express's parsers it left its result on `req.body`.
      if (req.body === undefined) return done({ error: bodyUnreadable(), id: null });
      this.#parsedBody = req.body;
      return done(NO_BYTES);
    }
    // The parser calls back in the async context of its connection. Run the request in the context that middleware
    // entered.
    const context = new AsyncResource('sojourn.request');
    const body = new Body(this, limit, idWithin);
    let settled = false;
    const settle = (): void => {
      if (settled) return;
      settled = true;
      const read = body.read();
      // Its answer may have status 200: on a session some refusals are errors in a response.
      if (!(read instanceof Uint8Array)) linger(req);
      guarded(this, () => context.runInAsyncScope(done, undefined, read));
    };
    req.on('data', (chunk: Buffer) => {
      if (!settled && !body.take(chunk)) settle();
    });
    req.on('end', settle);
    req.on('error', () => {
      // The client disconnected in the middle of its body, so there is no client to answer.
      settled = true;
      this.left();
    });
  }

  addHeader(name: string, value: string): void {
    const res = this.#res;
    if (res === undefined || res.headersSent) return;
    if (name === 'Vary') res.appendHeader(name, value);
    else if (!res.hasHeader(name)) res.setHeader(name, value);
  }

  respond(status: number, headers: HeaderList, body?: string): void {
    if (this.over !== undefined) return;
    this.watched?.head(status);
    this.finish('complete');
    const res = this.#res;
    if (res === undefined || res.destroyed || res.headersSent) return this.#release();
    this.#setHead(res, status, headers);
    this.#dropRest(this.#req as NodeRequest, status);
    res.end(encoded(body));
    if (body !== undefined && body.length > WATCHED_BYTES) this.#noteSlow(res);
    this.#release();
  }

  #dropRest(req: NodeRequest, status: number): void {
    if (!req.complete && (status === 413 || status === 503)) linger(req);
  }

  #setHead(res: ServerResponse, status: number, headers: HeaderList): void {
    res.statusCode = status;
    for (const [name, value] of headers) res.setHeader(name, value);
    if (this.sessionId !== undefined) res.setHeader('Mcp-Session-Id', this.sessionId);
  }

  openStream(headers: HeaderList): void {
    const res = this.#res;
    if (this.over !== undefined || res === undefined || res.destroyed || res.headersSent) return;
    this.watched?.head(200);
    this.#setHead(res, 200, headers);
    // Send the head together with the first event if that follows at once. A client that has the head alone waits for
    // ever when this process crashes.
    const { socket } = res;
    socket?.cork();
    res.flushHeaders();
    socket?.setTimeout(0);
    queueMicrotask(() => socket?.uncork());
    this.listen();
  }

  whenHostStops(stream: HostedStream): void {
    const req = this.#req;
    if ('socket' in req) this.#unwatchHost = this.host.hostServers?.watch(req.socket, stream);
  }

  write(chunk: string): void {
    const res = this.#res;
    if (this.over !== undefined || res === undefined || res.destroyed) return;
    res.write(encoded(chunk));
    if (res.writableLength > WATCHED_BYTES) this.#noteSlow(res);
  }

  #noteSlow(res: ServerResponse): void {
    if (res.writableLength <= WATCHED_BYTES) return;
    this.#slow ??= new SlowResponse(res, this.host.slowReaders, this.share);
    this.#slow.note();
  }

  end(): void {
    if (this.over !== undefined) return;
    this.finish('complete');
    if (this.#res !== undefined && !this.#res.destroyed) this.#res.end();
    this.#release();
  }

  cut(): void {
    this.#res?.destroy();
  }

  fail(cause: unknown): void {
    failWith(this, { cause, streaming: this.#res?.headersSent === true, report: this.host.report });
    // The answer could not be written.
    if (this.#res?.writableEnded === false) this.#res.destroy();
  }

  get pendingBytes(): number {
    return this.#res?.writableLength ?? 0;
  }

  override get closed(): boolean {
    // A response of HTTP/2 lacks the member.
    return this.over !== undefined || this.#res === undefined || this.#res.destroyed;
  }

  protected listenToClose(): void {
    const res = this.#res;
    if (res === undefined || res.destroyed) return this.left();
    if (this.connection === undefined) res.on('close', () => this.left());
    res.on('error', () => this.left());
  }

  protected afterLeft(): void {
    this.#release();
  }

  /**
   * Factories and handlers may keep the request as long as the session lives (`ctx.requestInfo`). Keep its visible
   * values, and drop its connection and buffers.
   */
  #release(): void {
    const req = this.#req;
    this.#res = undefined;
    this.#parsedBody = undefined;
    this.#req = {
      method: req.method,
      url: req.url,
      originalUrl: req.originalUrl,
      headers: req.headers,
      auth: req.auth,
      secure: isSecure(req),
    };
  }
}

/** Node.js counts and copies a longer text several times before it encodes it. Shorter texts leave with their head. */
const ENCODED_CHARACTERS = 65_536;

function encoded<T extends string | undefined>(text: T): T | Buffer {
  return text !== undefined && text.length >= ENCODED_CHARACTERS ? Buffer.from(text) : text;
}

/** The values of a finished request that its view still shows. */
interface RequestHead {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly originalUrl: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly auth: AuthInfo | undefined;
  readonly secure: boolean;
}

function isSecure(req: NodeRequest | RequestHead): boolean {
  if ('secure' in req && typeof req.secure === 'boolean') return req.secure;
  const { socket } = req as NodeRequest;
  return 'encrypted' in socket && socket.encrypted === true;
}
