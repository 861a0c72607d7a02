/**
 * The node face: an exchange directly on `node:http`, or on what looks like it: adapters of other
 * platforms (AWS Lambda, `fetch`) have a socket without most members, or none, and fields that no
 * parser has read. A call creates no web `Request`, `Response`, `Headers` or stream. Headers are
 * set one by one, so that `res.getHeader` works and headers that middleware set stay. A complete
 * answer is sent with its head in one `end`, which also adds `Content-Length`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { onceRead } from '../base/system.ts';
import { bodyConsumed, bodyUnreadable, overMemory } from '../base/errors.ts';
import type { Body, BodyRead } from './body.ts';
import type { HeaderFields } from './caller-request.ts';
import { connectionOf, Exchange, type ExchangeHost, type HeaderList } from './exchange.ts';
import { WRITE_TIMEOUT_MS } from './unread.ts';

export type NodeRequest = IncomingMessage & {
  auth?: AuthInfo | undefined;
  body?: unknown;
  originalUrl?: string;
};

/**
 * Factories and handlers may keep the request as long as the session lives (`ctx.requestInfo`). Its visible values are
 * fields of their own; its connection and buffers are dropped when it is over.
 */
export class NodeExchange extends Exchange {
  readonly #isSecure: boolean;
  /** `undefined` once the answer is complete or the client disconnected. */
  #req: NodeRequest | undefined;
  /** The same, but kept until the client has taken its bytes, once it is watched for them. */
  #res: ServerResponse | undefined;
  #isUnread = false;

  constructor(req: NodeRequest, res: ServerResponse, parsedBody: unknown, host: ExchangeHost) {
    // A body parser that has read the stream left its result on `req.body`, as Express's do.
    const parsed = parsedBody === undefined && req.readableEnded ? req.body : parsedBody;
    const { method = 'GET' } = req;
    const headers = connectionOf(req) === undefined ? fieldsOf(req.headers) : req.headers;
    super(host, { method, url: req.originalUrl ?? req.url ?? '/', headers }, req.auth, parsed, req);
    this.#req = req;
    this.#res = res;
    this.#isSecure = (req.socket as { readonly encrypted?: unknown } | null)?.encrypted === true;
  }

  get node(): { req: IncomingMessage; res: ServerResponse } | undefined {
    return this.#req === undefined || this.#res === undefined
      ? undefined
      : { req: this.#req, res: this.#res };
  }

  get absoluteUrl(): string {
    const scheme = this.#isSecure ? 'https' : 'http';
    const url = `${scheme}://${this.authority ?? 'localhost'}${this.url}`;
    // Handlers parse this URL. The request target may be any text, and so may `Host` where `allowedHosts` is not set.
    return URL.canParse(url) ? url : `${scheme}://localhost/`;
  }

  protected receive(body: Body, serve: BodyRead): void {
    const req = this.#req;
    if (req === undefined) return;
    const isGone = (): boolean => req.readableEnded || req.destroyed;
    const refuse = (): void =>
      serve({ error: req.readableEnded ? bodyConsumed() : bodyUnreadable(), id: null });
    if (isGone()) return onceRead(this, refuse);
    // The client disconnected in the middle of its body, so there is no client to answer.
    req.on('error', () => this.left());
    const isPlain =
      this.connection !== undefined &&
      !this.isHttp2 &&
      this.headers['content-length'] !== undefined;
    if (!isPlain || req.readableFlowing !== null) return this.#receiveEvents(req, body, serve);
    let isTaken = false;
    const takeEvents = (): void => {
      if (!isTaken) this.#receiveEvents(req, body, serve);
      isTaken = true;
    };
    // Other code begins to read the body in this turn, and would leave nothing of it.
    req.once('resume', takeEvents);
    onceRead(this, () => {
      if (isTaken) return;
      if (isGone()) return refuse();
      // Most bodies come with their heads, and Node has all of it.
      const whole =
        req.complete && req.readableFlowing === null ? (req.read() as Buffer | null) : null;
      if (whole === null) return takeEvents();
      isTaken = true;
      serve(body.readWhole(whole));
    });
  }

  #receiveEvents(req: NodeRequest, body: Body, serve: BodyRead): void {
    if (!this.holdsFields()) return onceRead(this, () => serve({ error: overMemory(), id: null }));
    let settled = false;
    const settle = (): void => {
      if (!settled) onceRead(this, () => serve(body.read()));
      settled = true;
    };
    // The rest of a body that is refused is dropped: closing the connection now would lose some clients their answer.
    req.on('data', (chunk: Buffer) => {
      if (!settled && !body.take(chunk)) settle();
    });
    req.on('end', settle);
  }

  addHeader(name: string, value: string): void {
    const res = this.#res;
    if (res === undefined || res.headersSent) return;
    if (name === 'Vary') res.appendHeader(name, value);
    else if (!res.hasHeader(name)) res.setHeader(name, value);
  }

  protected sendAnswer(status: number, headers: HeaderList, body: string | undefined): void {
    this.#withHead(status, headers)?.end(encoded(body));
  }

  /** `undefined`: it has no response any more, or other code has sent one. */
  #withHead(status: number, headers: HeaderList): ServerResponse | undefined {
    const res = this.#res;
    if (res === undefined || res.headersSent) return undefined;
    res.statusCode = status;
    for (const [name, value] of headers) res.setHeader(name, value);
    if (this.sessionId !== undefined) res.setHeader('Mcp-Session-Id', this.sessionId);
    return res;
  }

  protected sendHead(headers: HeaderList): void {
    const res = this.#withHead(200, headers);
    if (res === undefined) return;
    // Send the head together with the first event if that follows at once. A client that has the head alone waits for
    // ever when this process crashes.
    const socket: LikeSocket | null = res.socket;
    socket?.cork?.();
    res.flushHeaders();
    socket?.setTimeout?.(0);
    queueMicrotask(() => socket?.uncork?.());
    res.on('error', () => this.left());
  }

  protected send(chunk: string): void {
    const res = this.#res;
    res?.write(encoded(chunk));
    if (res !== undefined) this.#noteUnread(res);
  }

  /** Node restarts the timeout whenever the client takes some bytes. */
  #noteUnread(res: ServerResponse): void {
    const { unread } = this.host;
    if (!unread.note(this)) return;
    setTimeoutOf(res, WRITE_TIMEOUT_MS);
    if (this.#isUnread) return;
    this.#isUnread = true;
    const taken = (): void => this.taken();
    res.on('drain', taken).on('finish', taken).on('close', taken);
    res.on('timeout', () => unread.stalled(this));
  }

  protected taken(): void {
    this.host.unread.forget(this);
    // Streams are silent for any time.
    setTimeoutOf(this.#res, 0);
    if (this.over === undefined) return;
    this.#res = undefined;
    this.leaveConnection();
  }

  protected cutAnswer(): void {
    this.#res?.destroy();
    this.connectionClosed();
  }

  get pendingBytes(): number {
    // It is the sum of several, and not a number where the socket lacks one.
    return this.#res?.writableLength || 0;
  }

  protected listen(): void {
    const res = this.#res;
    if (res === undefined || res.destroyed) this.left();
    else res.on('close', () => this.left());
  }

  protected release(): void {
    const res = this.#res;
    if (this.over === 'complete' && res !== undefined) {
      if (this.isStream && !res.destroyed) res.end();
      this.#noteUnread(res);
    }
    this.#req = this.parsedBody = undefined;
    if (this.#isUnread) return;
    this.#res = undefined;
    // `node:http` holds the answer behind others.
    if (this.over === 'complete' && res?.socket === null)
      res.once('socket', () => this.leaveConnection());
    else this.leaveConnection();
  }
}

type LikeSocket = Partial<Pick<Socket, 'cork' | 'uncork' | 'setTimeout'>>;

/** The response passes it on to its socket. */
function setTimeoutOf(res: ServerResponse | undefined, ms: number): void {
  const socket: LikeSocket | null | undefined = res?.socket;
  if (socket?.setTimeout !== undefined) res?.setTimeout(ms);
}

/** Fields as the parser of Node has them: names in lower case, of which one comes once, and texts. */
function fieldsOf(given: Readonly<Record<string, unknown>> | undefined): HeaderFields {
  const fields: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === undefined || value === null) continue;
    const key = name.toLowerCase();
    const texts = [fields[key] ?? [], value].flat().map(String);
    fields[key] = texts.length === 1 ? String(texts[0]) : texts;
  }
  return fields;
}

/** Node.js counts and copies a longer text several times before it encodes it. Shorter texts leave with their head. */
const ENCODED_CHARACTERS = 65_536;

function encoded<T extends string | undefined>(text: T): T | Buffer {
  return text !== undefined && text.length >= ENCODED_CHARACTERS ? Buffer.from(text) : text;
}
