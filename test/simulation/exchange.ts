/** One HTTP request in a world, as the instance sees it (`SimExchange`) and as its client does (`Connection`). */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { BodyRead, Exchange, HeaderList } from '../../src/http/exchange.ts';
import { createRequestView, type RequestSource } from '../../src/http/request-view.ts';
import type { McpHttpRequest } from '../../src/types.ts';
import { parseFrames, type SseEvent } from './sse.ts';

export interface HttpRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly authInfo?: AuthInfo;
}

/** The client's end. What reaches it comes in order, and no more after the end. */
export interface Connection {
  head(status: number, headers: ReadonlyMap<string, string>): void;
  /** Of a stream, or of a body that came as one. */
  text(chunk: string): void;
  /** `clean`: the response is complete; otherwise the connection was cut. */
  over(clean: boolean): void;
}

/** How what the instance writes travels back. */
export interface Wire {
  send(piece: (connection: Connection) => void): void;
  /** Nothing more will be sent. */
  finished(): void;
}

const bytesOf = new TextEncoder();

export class SimExchange implements Exchange, RequestSource {
  readonly method: string;
  readonly url = '/mcp';
  readonly authInfo: AuthInfo | undefined;
  readonly parsedBody = undefined;
  readonly node = undefined;
  readonly pendingBytes = 0;
  readonly clientAddress = undefined;
  sessionId: string | undefined = undefined;
  user: string | undefined = undefined;
  relayed = false;
  readonly relayOrigin = undefined;
  readonly #http: HttpRequest;
  readonly #wire: Wire;
  #view: McpHttpRequest | undefined;
  #abort: AbortController | undefined;
  #streaming = false;
  #finished = false;
  #gone = false;
  #onClose: Array<() => void> = [];

  holds(): boolean {
    return true;
  }
  heldBy(): void {}

  constructor(http: HttpRequest, wire: Wire) {
    this.#http = http;
    this.#wire = wire;
    this.method = http.method;
    this.authInfo = http.authInfo;
  }

  get request(): McpHttpRequest {
    return (this.#view ??= createRequestView(this));
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = (this.#abort = new AbortController());
      this.onClose(() => abort.abort());
    }
    return this.#abort.signal;
  }

  header(name: string): string | undefined {
    return this.#http.headers[name];
  }

  headerFields(): Readonly<Record<string, string>> {
    return this.#http.headers;
  }

  absoluteUrl(): string {
    return 'http://127.0.0.1/mcp';
  }

  readBody(_limit: number, _idWithin: number, done: BodyRead): void {
    done(bytesOf.encode(this.#http.body ?? ''));
  }

  refused(): void {}

  respond(status: number, headers: HeaderList, body?: string): void {
    if (this.closed || this.#streaming) return;
    this.#finished = true;
    const sent = this.#headersOf(headers);
    this.#wire.send((connection) => {
      connection.head(status, sent);
      if (body !== undefined && body !== '') connection.text(body);
      connection.over(true);
    });
    this.#wire.finished();
  }

  openStream(headers: HeaderList): void {
    if (this.closed || this.#streaming) return;
    this.#streaming = true;
    const sent = this.#headersOf(headers);
    this.#wire.send((connection) => connection.head(200, sent));
  }

  write(chunk: string): void {
    if (this.#streaming && !this.closed) this.#wire.send((connection) => connection.text(chunk));
  }

  end(): void {
    if (this.closed) return;
    this.#finished = true;
    this.#wire.send((connection) => connection.over(true));
    this.#wire.finished();
  }

  cut(): void {
    if (this.closed) return;
    this.#wire.send((connection) => connection.over(false));
    this.clientLeft();
  }

  /** In a simulated world nothing unexpected may be thrown: it ends the run. */
  fail(cause: unknown): void {
    throw cause;
  }

  get closed(): boolean {
    return this.#finished || this.#gone;
  }

  onClose(fn: () => void): void {
    if (this.#gone) fn();
    else if (!this.#finished) this.#onClose.push(fn);
  }

  /** The connection is no more. */
  clientLeft(): void {
    if (this.closed) return;
    this.#gone = true;
    this.#wire.finished();
    for (const fn of this.#onClose.splice(0)) fn();
  }

  #headersOf(list: HeaderList): Map<string, string> {
    const headers = new Map(list.map(([name, value]) => [name.toLowerCase(), value]));
    if (this.sessionId !== undefined) headers.set('mcp-session-id', this.sessionId);
    return headers;
  }
}

export type HttpOutcome = 'refused' | 'cut' | 'complete';

/** A response as a client gets it: promises for its head and its end, a callback for each event. */
export class Response implements Connection {
  status = 0;
  headers: ReadonlyMap<string, string> = new Map();
  body = '';
  /** Where it was sent. */
  slot = -1;
  /** Set when it reached an instance. */
  arrivedAt: number | undefined;
  /** That instance had no lease. */
  held = false;
  /** Set by the client: whatever comes later is not read any more. */
  abandoned = false;
  readonly headed: Promise<void>;
  readonly ended: Promise<HttpOutcome>;
  /** Leaves; the instance learns of it. */
  close: () => void = () => undefined;
  #headed!: () => void;
  #ended!: (outcome: HttpOutcome) => void;
  readonly #onEvent: ((event: SseEvent) => void) | undefined;

  constructor(onEvent?: (event: SseEvent) => void) {
    this.#onEvent = onEvent;
    this.headed = new Promise((resolve) => (this.#headed = resolve));
    this.ended = new Promise((resolve) => (this.#ended = resolve));
  }

  get streams(): boolean {
    return this.headers.get('content-type') === 'text/event-stream';
  }

  /** Whatever its status. */
  get refused(): boolean {
    return this.headers.has('sojourn-refused');
  }

  head(status: number, headers: ReadonlyMap<string, string>): void {
    this.status = status;
    this.headers = headers;
    this.#headed();
  }

  text(chunk: string): void {
    if (this.abandoned) return;
    if (!this.streams) this.body += chunk;
    else for (const event of parseFrames(chunk)) this.#onEvent?.(event);
  }

  over(clean: boolean): void {
    this.finish(clean ? 'complete' : 'cut');
  }

  finish(outcome: HttpOutcome): void {
    this.#headed();
    this.#ended(outcome);
  }
}
