/** The fetch face: an exchange from a web `Request` to a promise of its `Response`. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { bodyUnreadable, overMemory, SojournError } from '../errors.ts';
import { CLIENT_LEFT } from '../observe/watched-request.ts';
import { Body, NO_BYTES } from './body.ts';
import { guarded, failWith } from './answer.ts';
import type { BodyOverflow, BodyRead, Exchange, ExchangeHost, HeaderFields, HeaderList } from './exchange.ts';
import { incomingOf, onConnectionEnd } from './connection-end.ts';
import { type HttpConnection, FaceExchange } from './face-exchange.ts';
import { PartedBody, UNCHARGED_BYTES, UnreadAnswer } from './long-body.ts';
import { readIncoming, unreadIncoming } from './incoming-body.ts';
import { repeatedOf } from './repeated-field.ts';
import type { SlowReader } from './slow-readers.ts';

/**
 * What a request and its response take in the heap besides the body, from the first byte of the body on. An adapter
 * gives all requests that a client has pipelined at once, and each is read in later turns.
 */
const REQUEST_BYTES = 16 * 1024;
/** The fields of a user's requests are counted from here on, and where they are many: reading them all is not free. */
const FIELDS_COUNT_FROM = 64 * REQUEST_BYTES;
const MANY_FIELDS = 64;
/** What a header field takes besides its characters: two texts, and an entry in a table. */
const FIELD_BYTES = 208;

export class FetchExchange extends FaceExchange implements Exchange, SlowReader {
  /** `undefined` once the exchange is over, where an adapter made it of node's request. */
  #request: Request | undefined;
  readonly method: string;
  /** As adapters give it: some create requests whose URL is the bare text that the client sent. */
  readonly #url: string;
  #headers: Headers;
  authInfo: AuthInfo | undefined;
  readonly parsedBody: unknown;
  readonly response: Promise<Response>;
  readonly node = undefined;
  readonly clientAddress = undefined;
  #resolve!: (response: Response) => void;
  /** The body of a stream. */
  #body: PartedBody | undefined;
  #unlisten: (() => void) | undefined;
  readonly #added: Array<readonly [string, string]> = [];

  constructor(request: Request, authInfo: AuthInfo | undefined, parsedBody: unknown, host: ExchangeHost) {
    super(host);
    this.#request = request;
    const { method, url, headers } = request;
    this.method = method;
    this.#url = url;
    this.#headers = headers;
    // Wrappers such as `withMcpAuth` set `auth` on the request itself.
    this.authInfo = authInfo ?? (request as { readonly auth?: AuthInfo | undefined }).auth;
    this.parsedBody = parsedBody;
    this.response = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  protected get connection(): HttpConnection | undefined {
    return this.#request && incomingOf(this.#request)?.socket;
  }

  protected finished(): void {
    this.uncount();
    this.held.release();
    this.host.slowReaders.forget(this);
    // The signal may live until a full garbage collection, and would keep this request and its body.
    if (this.listening) this.#request?.signal.removeEventListener('abort', this.#aborted);
    this.#unlisten?.();
    // A handler may keep the exchange for long, and with its connection all requests and answers that wait on it.
    if (this.#request !== undefined && incomingOf(this.#request) !== undefined)
      this.#headers = new Headers(this.#headers);
    this.#request = undefined;
  }

  get url(): string {
    const url = this.#url;
    const authority = url.indexOf('//') + 2;
    const [target = ''] = url.slice(authority).split('#', 1);
    return target.replace(/^[^/?]*/, '').replace(/^(?!\/)/, '/');
  }
  get repeatedField(): string | undefined {
    return repeatedOf(this.#headers);
  }
  header(name: string): string | undefined {
    return this.#headers.get(name) ?? undefined;
  }
  headerFields(): HeaderFields {
    return Object.fromEntries(this.#headers);
  }
  absoluteUrl(): string {
    const url = this.#url;
    return URL.canParse(url) ? url : 'http://localhost/';
  }

  readBody(limit: number, done: BodyRead, overflow?: BodyOverflow): void {
    const request = this.#request;
    if (request === undefined) return;
    const reading = this.#read(request, limit, overflow).then(
      (read) => (read instanceof SojournError ? done(read, NO_BYTES) : done(undefined, read)),
      (cause: unknown) => {
        if (request.signal.aborted || incomingOf(request)?.destroyed === true) this.left();
        else done(bodyUnreadable(cause), NO_BYTES);
      },
    );
    guarded(this, () => reading);
  }

  #holdsFields(): boolean {
    const { rawHeaders = [] } = (this.#request && incomingOf(this.#request)) ?? {};
    if (this.host.memory.heldBy(this.share) < FIELDS_COUNT_FROM && rawHeaders.length <= 2 * MANY_FIELDS) return true;
    let bytes = 0;
    for (const [name, value] of this.#headers) bytes += FIELD_BYTES + name.length + value.length;
    return this.holds(bytes);
  }

  /** An error: the body is longer than `limit`, or there is no room for it. */
  async #read(request: Request, limit: number, overflow: BodyOverflow | undefined): Promise<Uint8Array | SojournError> {
    // Before the body is looked at: adapters create most of a request's objects then.
    if (!this.holds(REQUEST_BYTES) || !this.#holdsFields()) return overMemory();
    const incoming = unreadIncoming(request);
    const body = new Body(this, limit, overflow);
    if (incoming !== undefined) await readIncoming(incoming, (chunk) => body.take(chunk));
    else await this.#readStream(request, body);
    return body.refusal ?? body.bytes();
  }

  async #readStream(request: Request, body: Body): Promise<void> {
    if (request.body === null) return;
    const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (!done && body.take(value)) continue;
      if (!done) reader.cancel().catch(() => {});
      return;
    }
  }

  addHeader(name: string, value: string): void {
    this.#added.push([name, value]);
  }

  respond(status: number, headers: HeaderList, body?: string): void {
    const request = this.#request;
    if (this.closed || this.#body !== undefined || request === undefined) return;
    this.watched?.head(status);
    this.finish('complete');
    const isLong = body !== undefined && body.length > UNCHARGED_BYTES;
    const content = isLong ? this.#parted(body, request) : (body ?? null);
    this.#resolve(new Response(content, { status, headers: this.#headersOf(headers) }));
  }

  #parted(text: string, request: Request): ReadableStream<Uint8Array> {
    const body = new PartedBody();
    body.write(text);
    this.#unread(body, request);
    return body.stream;
  }

  #unread(body: PartedBody, request: Request): UnreadAnswer {
    return new UnreadAnswer(body, request, this.share, this.host.slowReaders);
  }

  #headersOf(headers: HeaderList): Array<[string, string]> {
    const list = [...this.#added, ...headers].map(([name, value]): [string, string] => [name, value]);
    if (this.sessionId !== undefined) list.push(['Mcp-Session-Id', this.sessionId]);
    return list;
  }

  openStream(headers: HeaderList): void {
    if (this.closed || this.#body !== undefined) return;
    this.watched?.head(200);
    const body = new PartedBody();
    body.onCancel = () => this.left();
    if (ON_BUN) body.writeAtOnce(':\n\n');
    this.#body = body;
    this.#resolve(new Response(body.stream, { status: 200, headers: this.#headersOf(headers) }));
    this.listen();
  }

  write(chunk: string): void {
    if (this.closed) return;
    this.#body?.write(chunk);
    if (this.pendingBytes > UNCHARGED_BYTES) this.host.slowReaders.note(this);
  }

  end(): void {
    if (this.closed) return;
    const [body, request] = [this.#body, this.#request];
    const isLong = this.pendingBytes > UNCHARGED_BYTES;
    this.finish('complete');
    if (body === undefined || request === undefined) return;
    if (isLong) this.#unread(body, request);
    else body.end();
  }

  cut(): void {
    if (this.closed) return;
    if (this.#request !== undefined) this.#cutBody(this.#request);
    this.left();
  }

  #cutBody(request: Request): void {
    const why = 'The connection was cut: its reader is too slow, or its request failed';
    if (this.#body === undefined) incomingOf(request)?.socket.destroy();
    else this.#body.cut(request, why);
  }

  fail(cause: unknown): void {
    failWith(this, { cause, streaming: this.#body !== undefined, report: this.host.report });
    // No effect when the promise is already resolved.
    this.#resolve(new Response(null, { status: 500 }));
  }

  get pendingBytes(): number {
    return this.#body?.pendingBytes ?? 0;
  }

  protected listenToClose(): void {
    const request = this.#request;
    if (request === undefined) return;
    const { signal } = request;
    if (signal.aborted) return this.left();
    signal.addEventListener('abort', this.#aborted, { once: true });
    this.#unlisten = onConnectionEnd(request, this.#aborted);
  }

  readonly #aborted = (): void => {
    this.left();
    // Closed instead of failed: adapters log a body's error, and clients disconnect from streams all the time.
    this.#body?.close();
  };

  /** The caller of `fetch` may still wait for a response. No effect when the promise is already resolved. */
  protected afterLeft(): void {
    this.#resolve(new Response(null, { status: CLIENT_LEFT }));
  }
}

const ON_BUN = 'Bun' in globalThis;
