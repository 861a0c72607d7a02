/** The fetch face: an exchange from a web `Request` to a promise of its `Response`. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { bodyUnreadable, overMemory } from '../errors.ts';
import { CLIENT_LEFT } from '../observe/watched-request.ts';
import { AnswerBody } from './answer-body.ts';
import { Body } from './body.ts';
import { guarded, failWith } from './answer.ts';
import type { BodyRead, Exchange, ExchangeHost, HeaderFields, HeaderList, RefusedBody } from './exchange.ts';
import { FaceExchange } from './face-exchange.ts';
import { repeatedOf } from './repeated-field.ts';
import { type SlowReader, WATCHED_BYTES } from './slow-readers.ts';

/** What a request and its response take in the heap besides the body, from the first byte of the body on. */
const REQUEST_BYTES = 16 * 1024;
/** The fields of a user's requests are counted from here on: reading them all is not free. */
const FIELDS_COUNT_FROM = 64 * REQUEST_BYTES;
/** What a header field takes besides its characters: two texts, and an entry in a table. */
const FIELD_BYTES = 208;

export class FetchExchange extends FaceExchange implements Exchange, SlowReader {
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
  #resolve!: (response: Response) => void;
  /** The body of a stream, or of a long answer. */
  #body: AnswerBody | undefined;
  #listensTo: AbortSignal | undefined;
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

  open(): boolean {
    return this.#request !== undefined && this.openOn(connectionOf(this.#request));
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
    const isLong = body !== undefined && body.length > WATCHED_BYTES;
    const answer = isLong ? this.#openBody() : undefined;
    answer?.write(body ?? '');
    this.finish('complete');
    this.#resolve(new Response(answer?.stream ?? body ?? null, { status, headers: this.#headersOf(headers) }));
    answer?.end();
    if (isLong) this.#noteUnread();
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
    if (this.closed) return;
    this.#body?.write(chunk);
    this.#noteUnread();
  }

  #noteUnread(): void {
    if (this.pendingBytes > WATCHED_BYTES) this.host.slowReaders.note(this);
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
      this.#body?.fail('The connection was cut: its reader is too slow, or its request failed');
    connection?.destroy();
    this.connectionClosed();
  }

  override connectionClosed(): void {
    this.left();
    this.#body?.close();
    this.#taken();
  }

  fail(cause: unknown): void {
    failWith(this, { cause, streaming: this.#body !== undefined, report: this.host.report });
    // No effect when the promise is already resolved.
    this.#resolve(new Response(null, { status: 500 }));
  }

  get pendingBytes(): number {
    return this.#body?.pendingBytes ?? 0;
  }

  get takenBytes(): number {
    return this.#body?.takenBytes ?? 0;
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
    this.host.slowReaders.forget(this);
    this.leaveConnection();
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

type WithIncoming = Readonly<Record<symbol, IncomingMessage | undefined>>;

/** The symbol that an adapter keeps node's request under, once a request has shown it. */
let incomingKey: symbol | undefined;

/** The connection of a request over HTTP/1, with adapters that keep node's request, such as `@hono/node-server`. */
function connectionOf(request: Request): Socket | undefined {
  const kept = request as unknown as WithIncoming;
  if (incomingKey === undefined || kept[incomingKey] === undefined)
    incomingKey = Object.getOwnPropertySymbols(request).find(({ description }) => description === 'incomingKey');
  const incoming = incomingKey && kept[incomingKey];
  return incoming?.httpVersionMajor === 1 ? incoming.socket : undefined;
}
