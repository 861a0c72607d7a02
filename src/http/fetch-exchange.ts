/**
 * The fetch face: an exchange from a web `Request` to a promise of its `Response`. An adapter that has a whole text
 * holds it until the client has read all of it, and nothing would count those bytes: a long answer, as a stream, is
 * passed on part by part, as the client reads.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { addressIn } from '../base/options/address-ranges.ts';
import { onceRead } from '../base/system.ts';
import { bodyConsumed, bodyUnreadable, overMemory } from '../base/errors.ts';
import { CLIENT_LEFT } from '../base/observe/watched-request.ts';
import type { Body, BodyRead, RefusedBody } from './body.ts';
import { Exchange, type ExchangeHost, guarded, type HeaderList } from './exchange.ts';
import { SSE_HEADERS } from './frames.ts';
import { UNREAD_BYTES, wasCut } from './unread.ts';

/** What a request and its response take in the heap besides the body, from the first byte of the body on. */
const REQUEST_BYTES = 16 * 1024;
/** What an adapter takes and may hold: as much as `node:http` takes before it asks to wait. */
const PART_BYTES = 16_384;

/** The authority of a URL, and what follows up to the fragment. Some adapters give the bare text of the client. */
export const URL_PARTS = /\/\/([^/?#]*)([^#]*)/;

const ON_BUN = 'Bun' in globalThis;
const encoder = new TextEncoder();

/** What the caller of `endpoint.fetch` knows besides the request. */
export interface FetchOptions {
  /** The authenticated caller, as your own authentication found it. */
  authInfo?: AuthInfo | undefined;
  /** The body, if it was parsed already. */
  parsedBody?: unknown;
  /**
   * Node's request, which adapters such as `@hono/node-server` pass on (`c.env.incoming`). It tells the address of the
   * caller (`trustedProxies`) and every header field. A connection with more than 16 open requests is cut, and what a request holds is
   * given back when its connection closes.
   */
  incoming?: IncomingMessage | Http2ServerRequest | undefined;
  /**
   * The address of the caller, by which it counts in `limits` without a user. Without it, that of `incoming`; without
   * both, all such callers are one, because no header of a bare `Request` is read.
   */
  clientAddress?: string | undefined;
}

export class FetchExchange extends Exchange {
  /** `undefined` once the exchange is over. */
  #request: Request | undefined;
  /** Some adapters create requests whose URL is the bare text that the client sent. */
  readonly #url: string;
  readonly response: Promise<Response>;
  readonly node = undefined;
  #resolve!: (response: Response) => void;
  /** Bytes that were written and not pulled. */
  pendingBytes = 0;
  /** Bytes that were pulled. */
  takenBytes = 0;
  /** The body of a stream, or of a long answer, until it is over. */
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** A queue of our own: that of the stream lives as long as its response, whatever holds that. */
  #parts: Uint8Array[] = [];
  #isPulled = false;
  readonly #added: Array<readonly [string, string]> = [];

  constructor(
    request: Request,
    { authInfo, parsedBody, incoming, clientAddress }: FetchOptions,
    host: ExchangeHost,
  ) {
    const { method, url, headers, auth } = request as Request & { readonly auth?: AuthInfo };
    // Wrappers such as `withMcpAuth` set `auth` on the request itself.
    const fields = Object.fromEntries(headers);
    super(
      host,
      { method, url: targetOf(url), headers: fields },
      authInfo ?? auth,
      parsedBody,
      incoming,
      addressIn(clientAddress ?? ''),
    );
    this.#request = request;
    this.#url = url;
    this.response = new Promise((resolve) => void (this.#resolve = resolve));
  }

  /** Adapters name a host of HTTP/2 in the URL alone. */
  override get authority(): string | undefined {
    return this.header('host') ?? URL_PARTS.exec(this.#url)?.[1];
  }

  get absoluteUrl(): string {
    return URL.canParse(this.#url) ? this.#url : 'http://localhost/';
  }

  protected receive(body: Body, serve: BodyRead): void {
    const request = this.#request;
    if (request === undefined) return;
    const isConsumed = request.bodyUsed || request.body?.locked === true;
    const served = (read: string | RefusedBody): void => onceRead(this, () => serve(read));
    guarded(this, () =>
      this.#read(request, body).then(served, (cause: unknown) => {
        if (this.closed || this.connection?.destroyed === true || request.signal.aborted)
          this.left();
        else served({ error: isConsumed ? bodyConsumed() : bodyUnreadable(cause), id: null });
      }),
    );
  }

  async #read(request: Request, body: Body): Promise<string | RefusedBody> {
    // Before the body is looked at: adapters create most of a request's objects then.
    if (!this.holds(REQUEST_BYTES)) return { error: overMemory(), id: null };
    if (request.body === null) return body.read();
    const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (!done && body.take(value)) continue;
      if (!done) reader.cancel().catch(() => {});
      return body.read();
    }
  }

  addHeader(name: string, value: string): void {
    this.#added.push([name, value]);
  }

  protected sendAnswer(status: number, headers: HeaderList, body: string | undefined): void {
    const isLong = body !== undefined && body.length > UNREAD_BYTES;
    const sent = isLong ? this.#openBody() : (body ?? null);
    this.#resolve(new Response(sent, { status, headers: this.#headersOf(headers) }));
    if (isLong) this.#push(body);
  }

  protected sendHead(headers: HeaderList): void {
    this.#resolve(
      new Response(this.#openBody(), { status: 200, headers: this.#headersOf(headers) }),
    );
    // Bun holds the head back until the first byte of the body.
    if (ON_BUN) this.#push(':\n\n');
  }

  #headersOf(headers: HeaderList): Array<[string, string]> {
    const list = [...this.#added, ...headers].map(([name, value]): [string, string] => [
      name,
      value,
    ]);
    if (this.sessionId !== undefined) list.push(['Mcp-Session-Id', this.sessionId]);
    return list;
  }

  protected send(chunk: string): void {
    this.#push(chunk);
    this.host.unread.note(this);
  }

  // ——— the body of a stream, or of a long answer ———

  #openBody(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#body = controller),
        pull: () => {
          this.#isPulled = true;
          this.#give();
        },
        // The adapter gives it up. It is closed already.
        cancel: () => {
          this.#body = undefined;
          this.connectionClosed();
        },
      },
      { highWaterMark: 0 },
    );
  }

  #push(text: string): void {
    if (this.#body === undefined) return;
    const bytes = encoder.encode(text);
    this.pendingBytes += bytes.length;
    // Copies: a view would keep all bytes while the adapter holds one part.
    for (let at = 0; at < bytes.length; at += PART_BYTES)
      this.#parts.push(bytes.slice(at, at + PART_BYTES));
    this.#give();
  }

  #give(): void {
    const part = this.#isPulled ? this.#parts.shift() : undefined;
    if (part !== undefined) {
      this.#isPulled = false;
      this.pendingBytes -= part.length;
      this.takenBytes += part.length;
      this.#body?.enqueue(part);
    }
    if (this.over !== undefined && this.#parts.length === 0) this.taken();
  }

  /** The client sees a complete body, or with `error` that it is not. An adapter may log the error. */
  protected taken(error?: Error): void {
    const body = this.#body;
    this.#body = undefined;
    this.#parts = [];
    this.pendingBytes = 0;
    this.host.unread.forget(this);
    this.leaveConnection();
    if (error === undefined) body?.close();
    else body?.error(error);
  }

  protected cutAnswer(): void {
    // A GET asks for a stream. Some clients open none after a status of 400 or more, and one again that has ended.
    if (this.method === 'GET' && !this.isStream && !this.closed) {
      this.openStream(SSE_HEADERS);
      return this.end();
    }
    this.taken(wasCut());
    this.left();
  }

  // ——— its end ———

  protected listen(): void {
    const { signal } = this.#request ?? {};
    if (signal?.aborted === true) this.left();
    else signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  readonly #aborted = (): void => this.left();

  protected release(): void {
    // The signal may live until a full garbage collection, and would keep this request and its body.
    if (this.connection === undefined)
      this.#request?.signal.removeEventListener('abort', this.#aborted);
    this.#request = undefined;
    if (this.over === 'complete') {
      this.host.unread.note(this);
      return this.#give();
    }
    // Closed instead of failed: clients disconnect from streams all the time.
    this.taken();
    // The caller of `fetch` may still wait for a response. No effect when the promise is already resolved.
    this.#resolve(new Response(null, { status: CLIENT_LEFT }));
  }
}

/** The path and query of a URL. */
function targetOf(url: string): string {
  const target = URL_PARTS.exec(url)?.[2] ?? '';
  return target.startsWith('/') ? target : `/${target}`;
}
