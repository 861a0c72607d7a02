/**
 * Connects one 2026-07-28 request's server with its exchange. The SDK's per-request transport creates a web `Response`
 * for every answer, which was more than half of the CPU of a small call. For the SDK, this class is that transport.
 * That is the public way to bind a server to this era: `connect` binds it if the server's `supportedProtocolVersions`
 * include the era.
 *
 *     open ──answer──▶ answered ──the turn ends──▶ closed
 *      ╰──its server, its client or this endpoint ends first──▶ closed
 *
 * It behaves like the SDK's transport: an error found before any handler ran chooses the status, a notification opens a
 * stream, and nothing is sent after the answer.
 */
import {
  type AuthInfo,
  type JSONRPCMessage,
  PerRequestHTTPServerTransport,
  ProtocolErrorCode,
  type ScopeChallengeHandler,
  type Server,
  type TransportSendOptions,
} from '@modelcontextprotocol/server';
import { requestClosed, RPC, type SojournError } from '../../errors.ts';
import { answerJson } from '../../http/answer.ts';
import { atEndOfTurn, type TurnTask } from '../../http/turn.ts';
import { CLIENT_LEFT } from '../../observe/watched-request.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../../protocol/jsonrpc.ts';
import { enter, type RequestEntry } from '../../sdk/request-entry.ts';
import { closeUnawaited, dropNotifications } from '../../sdk/server-shape.ts';
import type { RunPlace } from '../../session/calls/around-requests.ts';
import type { Call } from '../../session/calls/call.ts';
import { checkScopes } from '../../session/calls/scopes.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { Classification } from './request-envelopes.ts';
import type { CallTransport, Stop } from '../ladder.ts';
import { startAround } from './around.ts';
import type { SessionlessCall } from '../sessionless-call.ts';
import type { SessionlessOptions } from '../sessionless-options.ts';

/** What the transports of an endpoint share. */
export type TransportHost = Pick<SessionlessOptions, 'around' | 'options' | 'lists' | 'lifecycle'>;

export interface ModernTransportOptions {
  readonly host: TransportHost;
  readonly call: SessionlessCall;
  readonly request: RpcRequest;
  readonly classification: Classification;
  readonly server: Server;
  /** The entry of the server that `connect` is called on, where a request may take the short way. */
  readonly entry: RequestEntry | undefined;
}

/**
 * Statuses for errors that the SDK finds before a handler runs (its `LADDER_ERROR_HTTP_STATUS`, which it does not
 * export).
 */
const EARLY_STATUS: Readonly<Record<number, number>> = {
  [ProtocolErrorCode.ParseError]: 400,
  [ProtocolErrorCode.InvalidRequest]: 400,
  [ProtocolErrorCode.MethodNotFound]: 404,
  [ProtocolErrorCode.UnsupportedProtocolVersion]: 400,
  [RPC.headerMismatch]: 400,
};

/** The Go SDK cannot read a `roots/list` of an `input_required` result that has no `params`. */
function withRootsParams(message: RpcResponse): RpcResponse {
  const { result } = message;
  if (!isObject(result) || result['resultType'] !== 'input_required' || !isObject(result['inputRequests']))
    return message;
  const inputRequests = Object.entries(result['inputRequests']).map(([name, request]) =>
    isObject(request) && request['method'] === 'roots/list' && request['params'] === undefined
      ? [name, { ...request, params: {} }]
      : [name, request],
  );
  return { ...message, result: { ...result, inputRequests: Object.fromEntries(inputRequests) } };
}

const DONE = Promise.resolve();

export class ModernTransport extends PerRequestHTTPServerTransport implements CallTransport, RunPlace, TurnTask {
  readonly #options: ModernTransportOptions;
  /** No handler has run yet. */
  #early = false;
  /** The code of an error that was found before. */
  #earlyCode: number | undefined = undefined;
  #answered = false;
  #closed = false;
  #scopeChallenge: ScopeChallengeHandler | undefined = undefined;
  /** What the SDK's `connect` set as `onmessage`. */
  #connected: ModernTransport['onmessage'] = undefined;

  constructor(options: ModernTransportOptions) {
    super({ classification: options.classification });
    this.#options = options;
  }

  override start(): Promise<void> {
    return DONE;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Call it as soon as `connect` has returned its promise, before a tool replaces `onmessage`. */
  connecting(): void {
    this.#connected = this.onmessage;
  }

  setScopeChallengeResolver(resolver: ScopeChallengeHandler): void {
    this.#scopeChallenge = resolver;
  }

  checkScopes(requests: readonly RpcRequest[], authInfo: AuthInfo | undefined): MaybePromise<SojournError | undefined> {
    return checkScopes(this.#scopeChallenge, requests, authInfo, this.#options.host.options.logger);
  }

  /** Resolves when the transport is closed. */
  deliver(): Promise<Stop> {
    const { host, call, request } = this.#options;
    if (this.onmessage === undefined) throw new Error('The server did not take its transport');
    call.closes(this);
    const ended = call.dispatched();
    if (host.around === undefined) this.receive(request);
    else startAround(call, host.around, this, request);
    return ended;
  }

  receive(message: RpcRequest): void {
    const { call, classification, entry } = this.#options;
    const { request, authInfo } = call.caller;
    const extra = { classification, request, ...(authInfo !== undefined && { authInfo }) };
    const isShort = entry !== undefined && this.onmessage === this.#connected;
    this.#early = true;
    try {
      if (isShort) enter(entry, message, extra, true);
      else this.onmessage?.(message, extra);
    } finally {
      this.#early = false;
    }
  }

  override send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (this.#closed) return DONE;
    const { host, call, request } = this.#options;
    const { id } = request;
    if ('method' in message) {
      host.lists?.changed(message.method);
      call.noticeListChange(message.method, host.options.notices);
      if (this.#answered) host.options.notices.dropped(message.method);
      // A JSON body holds the answer alone.
      else if (options?.relatedRequestId === id && host.options.responseMode !== 'json')
        call.response.message(JSON.stringify(message));
      return DONE;
    }
    if (message.id !== id) {
      this.onerror?.(new Error(`Received a response for an unknown request id: ${String(message.id)}`));
      return DONE;
    }
    if (this.#answered) return DONE;
    if (this.#early && 'error' in message) this.#earlyCode = message.error.code;
    const answer = call.outcomeOf(message as RpcResponse);
    if (call.around?.take(answer) !== true) this.answered(call, answer);
    return DONE;
  }

  get era(): 'modern' {
    return 'modern';
  }

  get version(): string {
    return this.#options.call.version;
  }

  answered(_call: Call, message: RpcResponse): void {
    if (this.#closed || this.#answered) return;
    const { host, request } = this.#options;
    const status = message.error === undefined ? 200 : this.#statusOf(message.error.code);
    const answer = message.error === undefined ? withRootsParams(message) : message;
    this.#answer(status, answerJson(answer, request.id, host.options.logger));
  }

  #answer(status: number, json: string): void {
    this.#answered = true;
    this.#options.call.response.answer(json, status);
    // Close after the handler has finished. An abort signal without listeners is not worth its event.
    atEndOfTurn(this);
  }

  endTurn(): void {
    void this.close();
  }

  crashed(cause: unknown): void {
    this.#options.host.options.logger.warn({ err: cause }, 'The server of a request of 2026-07-28 could not be closed');
  }

  /** The response is over. Without an answer its client left. */
  sinkClosed(): void {
    if (!this.#answered) void this.close();
  }

  override close(): Promise<void> {
    if (this.#closed) return DONE;
    this.#closed = true;
    const { host, call, server } = this.#options;
    dropNotifications(server, host.options.notices);
    try {
      if (this.#answered && server.onclose === undefined) closeUnawaited(this.onclose);
      else this.onclose?.();
    } finally {
      if (call.isDispatched && !this.#answered) this.#endUnanswered(call);
      call.transportClosed();
    }
    return DONE;
  }

  /** The server or this endpoint closed before there was an answer. */
  #endUnanswered(call: SessionlessCall): void {
    const { response, refusal } = call;
    if (response.hasBegun || refusal !== undefined || this.#options.host.lifecycle.refusal !== undefined)
      call.refuse(refusal ?? requestClosed());
    else response.done(CLIENT_LEFT, []);
  }

  async refuse(error: SojournError): Promise<void> {
    const { call } = this.#options;
    if (call.refusal === undefined) call.refuseWith(error);
    await this.close();
    call.refuse(call.refusal ?? error);
  }

  #statusOf(code: number): number {
    if (code === ProtocolErrorCode.MissingRequiredClientCapability) return 400;
    return (this.#earlyCode === code ? EARLY_STATUS[code] : undefined) ?? 200;
  }
}
