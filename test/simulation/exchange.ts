/** One HTTP request in a world, as the instance sees it (`SimExchange`) and as its client does (`Response`). */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { Body, BodyRead } from '../../src/http/body.ts';
import { Exchange, type HeaderList } from '../../src/http/exchange.ts';
import type { TimeProvider } from '../../src/base/types.ts';
import { exchangeHost } from '../kit/exchange-host.ts';
import { SseParser } from '../kit/sse-parser.ts';

export interface HttpRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly authInfo?: AuthInfo;
}

/** `data`: JSON text; `''`: a priming event. */
export interface SseEvent {
  readonly id: string | undefined;
  readonly data: string;
}

/** How what the instance writes travels back. */
export interface Wire {
  send(piece: (response: Response) => void): void;
  /** Nothing more will be sent. */
  finished(): void;
}

const bytesOf = new TextEncoder();
const HOST = exchangeHost(() => undefined);

export class SimExchange extends Exchange {
  readonly absoluteUrl = 'http://127.0.0.1/mcp';
  readonly node = undefined;
  readonly pendingBytes = 0;
  readonly #http: HttpRequest;
  readonly #wire: Wire;

  constructor(http: HttpRequest, time: Required<TimeProvider>, wire: Wire) {
    super({ ...HOST, time }, { ...http, url: '/mcp' }, http.authInfo, undefined);
    this.#http = http;
    this.#wire = wire;
  }

  protected receive(body: Body, done: BodyRead): void {
    done(body.readWhole(bytesOf.encode(this.#http.body ?? '')));
  }

  protected sendAnswer(status: number, headers: HeaderList, body: string | undefined): void {
    const sent = this.#headersOf(headers);
    this.#wire.send((response) => {
      response.head(status, sent);
      if (body !== undefined && body !== '') response.text(body);
      response.finish('complete');
    });
  }

  protected sendHead(headers: HeaderList): void {
    const sent = this.#headersOf(headers);
    this.#wire.send((response) => response.head(200, sent));
  }

  protected send(chunk: string): void {
    this.#wire.send((response) => response.text(chunk));
  }

  protected cutAnswer(): void {
    if (this.closed) return;
    this.#wire.send((response) => response.finish('cut'));
    this.clientLeft();
  }

  addHeader(): void {}

  /** In a simulated world nothing unexpected may be thrown: it ends the run. */
  override fail(cause: unknown): void {
    throw cause;
  }

  /** The connection is no more. */
  clientLeft(): void {
    this.left();
  }

  protected listen(): void {}

  protected taken(): void {}

  protected release(): void {
    if (this.over === 'complete' && this.isStream)
      this.#wire.send((response) => response.finish('complete'));
    this.#wire.finished();
  }

  #headersOf(list: HeaderList): Map<string, string> {
    const headers = new Map(list.map(([name, value]) => [name.toLowerCase(), value]));
    if (this.sessionId !== undefined) headers.set('mcp-session-id', this.sessionId);
    return headers;
  }
}

export type HttpOutcome = 'refused' | 'cut' | 'complete';

/**
 * A response as a client gets it: promises for its head and its end, a callback for each event. What reaches it comes
 * in order, and no more after the end.
 */
export class Response {
  status = 0;
  headers: ReadonlyMap<string, string> = new Map();
  body = '';
  /** Where it was sent. */
  readonly slot: number;
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
  readonly #parser = new SseParser();
  readonly #onEvent: ((event: SseEvent) => void) | undefined;

  constructor(slot: number, onEvent?: (event: SseEvent) => void) {
    this.slot = slot;
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

  /** Of a stream, or of a body that came as one. */
  text(chunk: string): void {
    if (this.abandoned) return;
    if (!this.streams) {
      this.body += chunk;
      return;
    }
    // A priming event may have no data, and a comment is no event.
    for (const { id, data } of this.#parser.push(chunk))
      if (id !== undefined || data !== undefined) this.#onEvent?.({ id, data: data ?? '' });
  }

  finish(outcome: HttpOutcome): void {
    this.#headed();
    this.#ended(outcome);
  }
}
