/**
 * A connection of the 2024-11-05 transport. Its session is one as any other, whose client is this connection: each POST
 * is a POST of the session, and its GET stream and all answers go out here.
 *
 *     connected ──initialize──▶ opening ──answered──▶ open: the session reads, and leaves with the connection
 *                                  ╰──refused──▶ the connection ends
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { draining, invalidRequest, type SojournError } from '../../base/errors.ts';
import {
  acceptRefused,
  errorJson,
  isAnsweredOnSession,
  type LostForm,
  PLAIN_HEADERS,
  refuse,
} from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { HttpResponse } from '../../http/response.ts';
import type { ResponseSink, SinkListener } from '../../http/sink.ts';
import type { PostBody } from '../../session/inbound/inbound.ts';
import type { LegacyEra } from './legacy-era.ts';
import { roleOf } from '../../base/protocol/methods.ts';

export class SseConnection {
  readonly exchange: Exchange;
  readonly response: HttpResponse;
  readonly #legacy: LegacyEra;
  /** Gives back its place in `limits.sessions`, which its session takes then. */
  #leavePlaces: (() => void) | undefined;
  /** Its session writes its GET stream to it, once the handshake is answered. */
  #reader: PostSink | undefined = undefined;

  constructor(legacy: LegacyEra, id: string, exchange: Exchange, leavePlaces: () => void) {
    this.#legacy = legacy;
    this.exchange = exchange;
    this.#leavePlaces = leavePlaces;
    this.sessionId = undefined;
    this.response = new HttpResponse(exchange, { form: 'events', endsWithToken: true }).begin();
    const [path = ''] = exchange.url.split('?', 1);
    // A proxy may strip or rename the path before: the client resolves this against the address that it has.
    this.response.event('endpoint', `${path.endsWith('/') ? '../' : ''}message?sessionId=${id}`);
  }

  /** Takes a message that the client posted, and answers its POST. */
  take(exchange: Exchange, post: PostBody): void {
    const { id: requestId = null, method } = post.only ?? {};
    const sink = new PostSink(this, exchange);
    const inbound = { kind: 'post', sink, post, requestId, unlogged: true } as const;
    if (this.sessionId !== undefined) {
      exchange.headers = { ...exchange.headers, 'mcp-session-id': this.sessionId };
      return this.#legacy.enter({ ...inbound, caller: exchange });
    }
    if (roleOf(method) !== 'handshake' || this.#leavePlaces === undefined)
      return this.refuse(exchange, invalidRequest('initialize comes first'), requestId);
    if (this.#legacy.parts.lifecycle.prefersOthers)
      return this.refuse(exchange, draining(), requestId);
    this.#leavePlaces();
    this.#leavePlaces = undefined;
    // The session is for as long as its client reads.
    this.#legacy.enter({ ...inbound, caller: this.exchange });
    sink.done();
  }

  /**
   * Refuses a message that the client posted. A client of Python ends its connection at a status of 400, so the error
   * goes out as an answer, as on every session.
   */
  refuse(exchange: Exchange, error: SojournError, id: RequestId | null, form?: LostForm): void {
    const isAnswered = this.sessionId !== undefined && id !== null && isAnsweredOnSession(error);
    if (!isAnswered && !exchange.closed) return refuse(exchange, error, id, form);
    acceptRefused(exchange, error);
    this.response.message(errorJson(error, id, form));
  }

  /** `undefined`: it has none yet. Its requests name it as those of other sessions do. */
  get sessionId(): string | undefined {
    return this.exchange.header('mcp-session-id');
  }

  set sessionId(id: string | undefined) {
    // A version that the GET named is none that its handshake negotiates later.
    this.exchange.headers = {
      ...this.exchange.headers,
      'mcp-session-id': id,
      'mcp-protocol-version': undefined,
    };
  }

  /** A request is answered, the handshake first: the session reads from then on, or there is none. */
  answered(): void {
    if (this.sessionId === undefined) return this.response.end();
    if (this.#reader !== undefined) return;
    this.#reader = new PostSink(this);
    this.#legacy.enter({ kind: 'get', caller: this.exchange, sink: this.#reader, requestId: null });
  }

  /** The connection is over. */
  over(): void {
    this.#leavePlaces?.();
    // The DELETE may find no store for too long: then the session is idle from here on.
    this.#reader?.listener?.sinkClosed(this.#reader);
    if (this.sessionId !== undefined) this.#legacy.end('delete', this.sessionId, this.exchange);
  }
}

/** The response to one POST, or without an `exchange` that of the GET stream, whose end is that of the connection. */
class PostSink implements ResponseSink {
  readonly takes = 'events';
  readonly hasBegun = false;
  readonly lastId = undefined;
  readonly #connection: SseConnection;
  readonly #exchange: Exchange | undefined;
  listener: SinkListener | undefined = undefined;

  constructor(connection: SseConnection, exchange?: Exchange) {
    this.#connection = connection;
    this.#exchange = exchange;
  }
  set sessionId(id: string | undefined) {
    this.#connection.sessionId = id;
  }
  begin(): void {
    this.done();
  }
  done(): void {
    this.#exchange?.respond(202, PLAIN_HEADERS, 'Accepted');
  }
  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    if (this.#exchange !== undefined) this.#connection.refuse(this.#exchange, error, id, form);
    this.end();
  }
  message(json: string): void {
    this.#connection.response.message(json);
  }
  end(): void {
    if (this.#exchange === undefined) this.#connection.response.end();
    else this.#connection.answered();
  }
  handOver(): void {
    this.#connection.response.end();
  }
  cut(): void {
    this.end();
  }
  get isOpen(): boolean {
    return this.#connection.response.isOpen;
  }
  sendHead(): void {}
  point(): void {}
  withdraw(): void {}
}
