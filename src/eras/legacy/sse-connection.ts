/**
 * A connection of the 2024-11-05 transport, and its session.
 *
 *     connected ──initialize──▶ opening ──answered──▶ open
 *         ▲                        │
 *         ╰──refused, or failed────╯
 *
 * The session leaves when the connection ends, and its answers and messages all go out on it. A message takes the steps
 * of every POST of a session (`posts.ts`), where nothing is stored.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { sessionHash } from '../../base/shown.ts';
import { invalidRequest, SojournError } from '../../errors.ts';
import {
  acceptRefused,
  answerable,
  errorJson,
  isAnsweredOnSession,
  type LostForm,
  PLAIN_HEADERS,
  refuse,
} from '../../http/answer.ts';
import { type Exchange, guarded } from '../../http/exchange.ts';
import { HttpResponse } from '../../http/response.ts';
import type { ResponseSink, SinkListener } from '../../http/sink.ts';
import { type Posted, requestIdOf } from '../../inbound/inbound.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { checkedHandshake } from '../../session/life/session-opener.ts';
import type { Handshake } from '../../session/record/handshake.ts';
import type { SessionBuilder } from '../../session/server/session-builder.ts';
import type { LiveSession } from '../../session/session.ts';
import type { LeaveReason } from '../../types.ts';
import type { LegacyParts } from './parts.ts';
import { servePost } from './posts.ts';

export interface LegacySseParts {
  readonly legacy: LegacyParts;
  readonly builder: SessionBuilder;
}

export class SseConnection {
  readonly id: string;
  readonly #parts: LegacySseParts;
  readonly #exchange: Exchange;
  readonly #response: HttpResponse;
  /** Set by its `initialize`. */
  #session: LiveSession | undefined = undefined;
  #state: 'connected' | 'opening' | 'open' = 'connected';
  /** Gives back its places in `limits.sessions` and `limits.perUser.sessions`. */
  readonly #leavePlaces: () => void;

  /** `gone`: called when its client has disconnected. */
  constructor(parts: LegacySseParts, id: string, exchange: Exchange, leavePlaces: () => void, gone: () => void) {
    this.#parts = parts;
    this.id = id;
    this.#exchange = exchange;
    this.#leavePlaces = leavePlaces;
    this.#response = new HttpResponse(exchange, { form: 'events', endsWithToken: true }).begin();
    this.#response.listener = { sinkClosed: gone };
    const [path = ''] = exchange.url.split('?', 1);
    const base = path.replace(/\/?$/, '').slice(0, -'/sse'.length);
    this.#response.event('endpoint', `${base}/message?sessionId=${id}`);
  }

  get user(): string | undefined {
    return this.#exchange.user;
  }

  get session(): LiveSession | undefined {
    return this.#session;
  }

  /** Refuses a message that the client posted. */
  refuse(exchange: Exchange, error: SojournError, id: RequestId | null): void {
    if (this.#state === 'open') new ConnectionSink(this.#response, exchange).refuse(error, id);
    else refuse(exchange, error, id);
  }

  /** Takes a message that the client posted, and answers its POST. */
  take(exchange: Exchange, post: Posted): void {
    const sink = new ConnectionSink(this.#response, exchange);
    const session = this.#session;
    const requestId = requestIdOf(post);
    if (session === undefined || this.#state !== 'open') {
      const refusal = this.#initialize(exchange, post);
      if (refusal === undefined) sink.done();
      else this.refuse(exchange, refusal, requestId);
      return;
    }
    const inbound = { kind: 'post', caller: exchange, sink, post, requestId } as const;
    guarded(exchange, async () => {
      try {
        // The session has left.
        if ((await servePost(this.#parts.legacy, session, inbound)) !== undefined) sink.done();
      } catch (cause) {
        sink.refuse(answerable(cause, this.#parts.legacy.options.logger, 'A message could not be served'), requestId);
      }
    });
  }

  #initialize(exchange: Exchange, { messages: [first] }: Posted): SojournError | undefined {
    if (first?.kind !== 'request') return undefined;
    const { message } = first;
    if (message.method !== 'initialize' || this.#state === 'opening') return invalidRequest('initialize comes first');
    const handshake = checkedHandshake(message);
    if (handshake instanceof SojournError) return handshake;
    this.#state = 'opening';
    guarded(exchange, () => this.#open(message, handshake));
    return undefined;
  }

  async #open(message: RpcRequest, handshake: Handshake): Promise<void> {
    const { builder, legacy } = this.#parts;
    const { options } = legacy;
    const exchange = this.#exchange;
    const response = this.#response;
    let session: LiveSession | undefined;
    let failure: unknown;
    try {
      session = this.#session = await builder.make(this.id, handshake, exchange, true);
      if (!response.isOpen) return await session.leave('deleted');
      const answer = await builder.initialize(session, message, exchange);
      response.message(JSON.stringify(answer));
      if (answer.error === undefined) {
        session.getStream.use(new ConnectionSink(response));
        this.#state = 'open';
        return;
      }
    } catch (cause) {
      failure = cause;
      const failed = `Session ${sessionHash(this.id)} of the 2024-11-05 transport could not be opened`;
      response.message(errorJson(answerable(cause, options.logger, failed), message.id));
    }
    // The server refused or did not answer, or the session ended while it was being opened.
    this.#session = undefined;
    await session?.giveUp('closed', failure);
    this.#state = 'connected';
  }

  /** Its session leaves. */
  async leave(reason: LeaveReason): Promise<void> {
    this.#leavePlaces();
    await this.#session?.leave(reason);
  }

  /** Ends the stream. */
  end(): void {
    this.#response.end();
  }
}

/**
 * The response to one POST, whose messages go out on the only connection. Without an `exchange` that of the session: its
 * end is the end of the connection.
 */
class ConnectionSink implements ResponseSink {
  readonly takes = 'events';
  readonly hasBegun = false;
  readonly lastId = undefined;
  readonly #response: HttpResponse;
  readonly #exchange: Exchange | undefined;
  sessionId: string | undefined = undefined;
  listener: SinkListener | undefined = undefined;

  constructor(response: HttpResponse, exchange?: Exchange) {
    this.#response = response;
    this.#exchange = exchange;
  }
  begin(): void {
    this.done();
  }
  done(): void {
    this.#exchange?.respond(202, PLAIN_HEADERS, 'Accepted');
  }
  /** A client of Python ends its connection at such a status, so the error goes out as an answer, as on every session. */
  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    if (this.#exchange === undefined) return;
    if (id === null || !isAnsweredOnSession(error)) return refuse(this.#exchange, error, id, form);
    acceptRefused(this.#exchange, error);
    this.#response.message(errorJson(error, id, form));
  }
  message(json: string): void {
    this.#response.message(json);
  }
  end(): void {
    if (this.#exchange === undefined) this.#response.end();
  }
  get isOpen(): boolean {
    return this.#response.isOpen;
  }
  sendHead(): void {}
  point(): void {}
  handOver(): void {}
  cut(): void {}
  withdraw(): void {}
}
