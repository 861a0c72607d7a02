/** The fetch face: an exchange from a web `Request` to a promise of its `Response`. */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { bodyUnreadable, overMemory, repeatedField, type SojournError } from '../errors.ts';
import { CLIENT_LEFT } from '../observe/watched-request.ts';
import { AnswerBody } from './answer-body.ts';
import { Body, type BodyRead, type RefusedBody } from './body.ts';
import { Exchange, type ExchangeHost, guarded, type HeaderFields, type HeaderList } from './exchange.ts';
import { repeatedOf } from './repeated-field.ts';
import { UNREAD_BYTES } from './unread.ts';

/** What a request and its response take in the heap besides the body, from the first byte of the body on. */
const REQUEST_BYTES = 16 * 1024;
/** The fields of a user's requests are counted from here on: reading them all is not free. */
const FIELDS_COUNT_FROM = 64 * REQUEST_BYTES;
/** What a header field takes besides its characters: two texts, and an entry in a table. */
const FIELD_BYTES = 208;

/** What the caller of `endpoint.fetch` knows besides the request. */
export interface FetchOptions {
  /** The authenticated caller, as your own authentication found it. */
  authInfo?: AuthInfo | undefined;
  /** The body, if it was parsed already. */
  parsedBody?: unknown;
  /**
   * Node's request, which adapters such as `@hono/node-server` pass on (`c.env.incoming`): a connection with more than
   * 16 open requests is cut, and what a request holds is given back when its connection closes.
   */
  incoming?: IncomingMessage | Http2ServerRequest | undefined;
}

export class FetchExchange extends Exchange {
  /** `undefined` once the exchange is over. */
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
  #incoming: FetchOptions['incoming'];
  #resolve!: (response: Response) => void;
  /** The body of a stream, or of a long answer. */
  #body: AnswerBody | undefined;
  #listensTo: AbortSignal | undefined;
  readonly #added: Array<readonly [string, string]> = [];

  constructor(request: Request, { authInfo, parsedBody, incoming }: FetchOptions, host: ExchangeHost) {
    super(host);
    this.#request = request;
    this.#incoming = incoming;
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

  open(): boolean {
    const incoming = this.#incoming;
    this.#incoming = undefined;
    return this.openOn(incoming?.httpVersionMajor === 1 ? incoming.socket : undefined);
  }

  get url(): string {
    const url = this.#url;
    const authority = url.indexOf('//') + 2;
    const [target = ''] = url.slice(authority).split('#', 1);
    return target.replace(/^[^/?]*/, '').replace(/^(?!\/)/, '/');
  }

  fieldsRefused(): SojournError | undefined {
    const repeated = repeatedOf(this.#headers);
    return repeated === undefined ? undefined : repeatedField(repeated);
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

  readBody(limit: number, idWithin: number, done: BodyRead): void {
    const request = this.#request;
    if (request === undefined) return;
    const reading = this.#read(request, limit, idWithin).then(done, (cause: unknown) => {
      if (this.closed || this.connection?.destroyed === true || request.signal.aborted) this.left();
      else done({ error: bodyUnreadable(cause), id: null });
    });
    guarded(this, () => reading);
  }

  #holdsFields(): boolean {
    if (this.host.memory.heldBy(this.share) < FIELDS_COUNT_FROM) return true;
    let bytes = 0;
    for (const [name, value] of this.#headers) bytes += FIELD_BYTES + name.length + value.length;
    return this.holds(bytes);
  }

  async #read(request: Request, limit: number, idWithin: number): Promise<Uint8Array | RefusedBody> {
    // Before the body is looked at: adapters create most of a request's objects then.
    if (!this.holds(REQUEST_BYTES) || !this.#holdsFields()) return { error: overMemory(), id: null };
    const body = new Body(this, limit, idWithin);
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

  respond(status: number, headers: HeaderList, body?: string): void {
    if (this.closed || this.#body !== undefined) return;
    this.watched?.head(status);
    const isLong = body !== undefined && body.length > UNREAD_BYTES;
    const answer = isLong ? this.#openBody() : undefined;
    answer?.write(body ?? '');
    this.finish('complete');
    this.#resolve(new Response(answer?.stream ?? body ?? null, { status, headers: this.#headersOf(headers) }));
    answer?.end();
    this.#noteUnread();
  }

  #openBody(): AnswerBody {
    return (this.#body = new AnswerBody(() => (this.over === undefined ? this.left() : this.#taken())));
  }

  #headersOf(headers: HeaderList): Array<[string, string]> {
    const list = [...this.#added, ...headers].map(([name, value]): [string, string] => [name, value]);
    if (this.sessionId !== undefined) list.push(['Mcp-Session-Id', this.sessionId]);
    return list;
  }

  openStream(headers: HeaderList): void {
    if (this.closed || this.#body !== undefined) return;
    this.watched?.head(200);
    const body = this.#openBody();
    // Bun holds the head back until the first byte of the body.
    if (ON_BUN) body.write(':\n\n');
    this.#resolve(new Response(body.stream, { status: 200, headers: this.#headersOf(headers) }));
    this.listen();
  }

  write(chunk: string): void {
    if (this.closed || this.host.unread.isBehind(this)) return;
    this.#body?.write(chunk);
    this.#noteUnread();
  }

  #noteUnread(): void {
    if (this.pendingBytes > UNREAD_BYTES) this.host.unread.note(this);
  }

  end(): void {
    if (this.closed) return;
    this.finish('complete');
    this.#body?.end();
  }

  cut(): void {
    const { connection } = this;
    // An adapter logs the error of a body with its stack, and a client could fill a log with those.
    if (connection === undefined)
      this.#body?.close(new Error('The connection was cut: its reader is too slow, or its request failed'));
    connection?.destroy();
    this.connectionClosed();
  }

  override connectionClosed(): void {
    this.left();
    this.#body?.close();
    this.#taken();
  }

  get pendingBytes(): number {
    return this.#body?.pendingBytes ?? 0;
  }

  get takenBytes(): number {
    return this.#body?.takenBytes ?? 0;
  }

  protected get streams(): boolean {
    return this.#body !== undefined;
  }

  protected listenToClose(): void {
    const { signal } = this.#request ?? {};
    if (this.connection !== undefined || signal === undefined) return;
    if (signal.aborted) return this.left();
    this.#listensTo = signal;
    signal.addEventListener('abort', this.#aborted, { once: true });
  }

  readonly #aborted = (): void => this.left();

  protected finished(): void {
    // The signal may live until a full garbage collection, and would keep this request and its body.
    this.#listensTo?.removeEventListener('abort', this.#aborted);
    this.#request = undefined;
    // The headers of an adapter may keep the connection, and a handler may keep the exchange for long.
    if (this.connection !== undefined) this.#headers = new Headers(this.#headers);
    if (this.pendingBytes === 0) this.#taken();
  }

  /** The client has everything, or will take nothing more. */
  #taken(): void {
    this.host.unread.forget(this);
    this.leaveConnection();
  }

  /** No effect when the promise is already resolved. */
  protected giveUp(): void {
    this.#resolve(new Response(null, { status: 500 }));
  }

  protected afterLeft(): void {
    // Closed instead of failed: clients disconnect from streams all the time.
    this.#body?.close();
    this.#taken();
    // The caller of `fetch` may still wait for a response. No effect when the promise is already resolved.
    this.#resolve(new Response(null, { status: CLIENT_LEFT }));
  }
}

const ON_BUN = 'Bun' in globalThis;
