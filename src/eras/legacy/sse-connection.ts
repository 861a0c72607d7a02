/**
 * A connection of the 2024-11-05 transport, and its session.
 *
 *     connected ──initialize──▶ opening ──answered──▶ open
 *         ▲                        │
 *         ╰──refused, or failed────╯
 *
 * The session leaves when the connection ends, and its answers and messages all go out on it. `../ladder.ts` has the
 * steps of a message.
 */
import { invalidRequest, SojournError } from '../../errors.ts';
import { answerable, guarded, errorJson } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { RequestLimits } from '../../limits/request-limits.ts';
import { type Sink, type SinkListener, streamsOf } from '../../http/sink.ts';
import { HttpResponse } from '../../http/response.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Checked, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { Handshake } from '../../session/record/handshake.ts';
import { checkedHandshake } from '../../session/life/session-opener.ts';
import type { AdmittedPost } from '../../session/calls/entering-post.ts';
import type { SessionBuilder } from '../../session/server/session-builder.ts';
import type { Registry } from '../../session/registry.ts';
import type { LiveSession } from '../../session/session.ts';
import { sessionHash } from '../../base/shown.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { LeaveReason } from '../../types.ts';
import { climb, type EntryHost, SessionEntry, SSE, type Stop } from '../ladder.ts';

export interface SseConnectionParts {
  readonly options: ResolvedOptions;
  readonly builder: SessionBuilder;
  readonly gate: RequestLimits;
  readonly registry: Pick<Registry, 'lease'>;
  /** Its client disconnected. */
  gone(connection: SseConnection): void;
}

export class SseConnection {
  readonly id: string;
  readonly #parts: SseConnectionParts;
  readonly #exchange: Exchange;
  readonly #response: HttpResponse;
  /** Set by its `initialize`. */
  #session: LiveSession | undefined = undefined;
  #state: 'connected' | 'opening' | 'open' = 'connected';
  /** Gives back its places in `limits.sessions` and `limits.perUser.sessions`. */
  readonly #leavePlaces: () => void;

  constructor(parts: SseConnectionParts, id: string, exchange: Exchange, leavePlaces: () => void) {
    this.#parts = parts;
    this.id = id;
    this.#exchange = exchange;
    this.#leavePlaces = leavePlaces;
    const policy = { ...streamsOf(parts.options), form: 'events', endsWithToken: true } as const;
    this.#response = new HttpResponse(exchange, policy).begin();
    this.#response.listener = { sinkClosed: () => parts.gone(this) };
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

  /** Takes a message that the client posted. Returns the error that refuses it. */
  take(exchange: Exchange, checked: Checked): MaybePromise<SojournError | undefined> {
    const session = this.#session;
    if (session === undefined || this.#state !== 'open') {
      if (checked.kind !== 'request' || checked.message.method !== 'initialize' || this.#state === 'opening') {
        return checked.kind === 'request' ? invalidRequest('initialize comes first') : undefined;
      }
      return this.#initialize(exchange, checked.message);
    }
    const stop = climb(SSE, new SseEntry(this.#parts, session, exchange, checked, this.#response));
    return stop instanceof Promise ? stop.then(refusalOf) : refusalOf(stop);
  }

  #initialize(exchange: Exchange, message: RpcRequest): SojournError | undefined {
    const handshake = checkedHandshake(message);
    if (handshake instanceof SojournError) return handshake;
    this.#state = 'opening';
    guarded(exchange, () => this.#open(message, handshake));
    return undefined;
  }

  async #open(message: RpcRequest, handshake: Handshake): Promise<void> {
    const { options, builder, registry } = this.#parts;
    const exchange = this.#exchange;
    const response = this.#response;
    const start = {
      id: this.id,
      fence: { epoch: 1, owner: registry.lease.owner },
      user: exchange.user,
      address: exchange.clientAddress,
      handshake,
      createdAt: options.timeProvider.now(),
      unlogged: true,
    };
    try {
      const session = (this.#session = await builder.connect(start, exchange, false));
      if (!response.isOpen) return await session.leave('deleted');
      const answer = await builder.initialize(session, message, exchange);
      response.message(JSON.stringify(answer));
      if (answer.error === undefined) {
        session.getStream.use(new Channel(response, () => response.end()));
        this.#state = 'open';
        return;
      }
      // The server refused, or the session ended while it was being opened.
      this.#session = undefined;
      await session.leave('closed');
    } catch (cause) {
      const failed = `Session ${sessionHash(this.id)} of the 2024-11-05 transport could not be opened`;
      response.message(errorJson(answerable(cause, options.logger, failed), message.id));
    }
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

const refusalOf = (stop: Stop): SojournError | undefined => (stop instanceof SojournError ? stop : undefined);

/** A message on its way into the session of a connection. */
class SseEntry extends SessionEntry {
  readonly #response: HttpResponse;

  constructor(host: EntryHost, session: LiveSession, caller: Exchange, checked: Checked, response: HttpResponse) {
    super(host, session, caller, [checked], false);
    this.#response = response;
  }

  /** Its POST is accepted all the same. */
  stopIfLeft(): Stop {
    return this.session.left ? 'done' : undefined;
  }

  delivered(): Stop {
    return 'done';
  }

  begin({ stream }: AdmittedPost): undefined {
    stream.begin(new Channel(this.#response));
  }
}

/** Sends the messages of one POST, or of the session, on the only connection. Only the end of the session closes it. */
class Channel implements Sink {
  readonly takes = 'events';
  readonly isRelayed = false;
  readonly #response: HttpResponse;
  readonly #onEnd: (() => void) | undefined;
  listener: SinkListener | undefined = undefined;

  constructor(response: HttpResponse, onEnd?: () => void) {
    this.#response = response;
    this.#onEnd = onEnd;
  }
  message(json: string): void {
    this.#response.message(json);
  }
  point(): void {}
  handOver(): void {}
  room(): undefined {}
  end(): void {
    this.#onEnd?.();
  }
  get isOpen(): boolean {
    return this.#response.isOpen;
  }
}
