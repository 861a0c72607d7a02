/**
 * The SDK's `Transport` of one request or notification without a session: of 2026-07-28, and of an endpoint without
 * sessions. The server is made for this message, and is closed with the transport.
 *
 *     open ──answer──▶ answered ──the turn ends──▶ closed
 *      ╰──its server, its client or this endpoint ends first──▶ closed: a request gets an error
 *
 * 2026-07-28 differs as the SDK's own transport of that revision does: an error that was found before any handler ran
 * chooses the HTTP status, and a message that belongs to no request is dropped, not refused.
 */
import {
  type JSONRPCMessage,
  ProtocolErrorCode,
  type RequestId,
  type TransportSendOptions,
} from '@modelcontextprotocol/server';
import { factoryFailed, RPC, statelessUnsupported } from '../../base/errors.ts';
import { answerable, answerJson } from '../../http/answer.ts';
import { guarded } from '../../http/exchange.ts';
import { isLarge } from '../../http/frames.ts';
import { noteLarge } from '../../http/large-answers.ts';
import { atEndOfTurn, type TurnTask } from '../../base/system.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import {
  isObject,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../../base/protocol/jsonrpc.ts';
import { methodOf, roleOf } from '../../base/protocol/methods.ts';
import { type AnyServer, tellClosed } from '../../sdk/server-shape.ts';
import { openRun } from '../../session/calls/around-requests.ts';
import { Call, currentCall } from '../../session/calls/call.ts';
import { ServerTransport } from '../../session/server/server-transport.ts';
import type { Stop } from '../ladder.ts';
import type { SessionlessCall } from './sessionless-call.ts';

/** What a server asks its client for, as the error names it. */
const FEATURES = { sampling: 'Sampling', elicitation: 'Elicitation', roots: 'Roots' } as const;

export function featureOf(method: string): string {
  const { asks } = methodOf(method);
  return asks === undefined ? `The request ${method}` : FEATURES[asks];
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

/** The id of a request of this library, where its client's has another. */
const ASKED_ID = 0;

const DONE = Promise.resolve();

export class OneRequestTransport extends ServerTransport implements TurnTask {
  protected readonly server: AnyServer;
  readonly #call: SessionlessCall;
  /** No handler has run yet. */
  #early = false;
  /** Resolves what `deliver` returned. Until its server has the message, an error is sent with its HTTP status. */
  #deliver: ((stop: Stop) => void) | undefined = undefined;
  /** A request of this library that waits for its answer. */
  #asked: { readonly id: RequestId; take(answer: Pick<RpcResponse, 'result'>): void } | undefined =
    undefined;
  #closed = false;
  #answered = false;

  constructor(call: SessionlessCall, server: AnyServer) {
    super();
    this.#call = call;
    this.server = server;
  }

  protected get options(): ResolvedOptions {
    return this.#call.host.options;
  }

  start(): Promise<void> {
    return DONE;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** For a call of a session that is live on another instance. */
  get sessionId(): string | undefined {
    return this.#call.session?.id;
  }

  // ——— messages in ———

  begin(): void {
    const call = this.#call;
    // This library sends the requests that have no place.
    if (call.admission === undefined || call.around !== undefined) return;
    call.around = openRun(this.options, this, call, call.response.attempt);
  }

  /** Resolves when the transport is closed. */
  deliver(message: RpcRequest | RpcNotification): Promise<Stop> {
    const call = this.#call;
    const ended = new Promise<Stop>((resolve) => (this.#deliver = resolve));
    if ('id' in message) this.begin();
    this.enterServer(message, call, call.run?.enter);
    return ended;
  }

  ask(method: string, params: RpcRequest['params']): Promise<Pick<RpcResponse, 'result'>> {
    const { id: taken, caller, run } = this.#call;
    const id = taken === ASKED_ID ? `${ASKED_ID}` : ASKED_ID;
    const message = { jsonrpc: '2.0', id, method, params } as const;
    return new Promise((take) => {
      this.#asked = { id, take };
      this.enterServer(message, new Call(caller, undefined, message), run?.enter);
    });
  }

  override receive(message: unknown, call: Call): void {
    this.#early = true;
    try {
      super.receive(message, call);
    } finally {
      this.#early = false;
    }
  }

  // ——— messages out ———

  send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (!('method' in message)) this.#take(message as RpcResponse);
    else if (this.#call.guest !== undefined && isAsking(message)) this.#call.guest.asks(message);
    else if ('id' in message)
      return Promise.reject(statelessUnsupported(featureOf(message.method)));
    else if (!this.#notify(message as RpcNotification, options?.relatedRequestId))
      return Promise.reject(
        statelessUnsupported(`The notification ${message.method} outside of a request`),
      );
    return DONE;
  }

  #take(message: RpcResponse): void {
    const call = this.#call;
    if (message.id === this.#asked?.id) return this.#asked?.take(message);
    if (message.id !== call.id || call.id === undefined || this.#answered || this.#closed)
      return call.guest?.took(message);
    const served = call.around === undefined ? message : call.around.servedIn(message);
    if (served !== undefined) call.listener?.learn?.(served);
    this.#answer(call.outcomeOf(message));
  }

  #answer(message: RpcResponse): void {
    const { id = null, method, era, response } = this.#call;
    this.#answered = true;
    const isEarly = era === 'modern' && (this.#early || this.#call.isUnhandled);
    const early = isEarly ? EARLY_STATUS[message.error?.code ?? 0] : undefined;
    const answer =
      era === 'modern'
        ? withRootsParams(message)
        : withoutListChanged(method, this.#call.withThrownCode(message));
    const json = answerJson(answer, id, this.options.logger);
    if (isLarge(json)) noteLarge(this.#call, this.options);
    response.answer(json, early ?? this.#call.statusOf(message));
    // Close after the handler has finished. An abort signal without listeners is not worth its event.
    atEndOfTurn(this);
  }

  /** `false`: it belongs to no request. */
  #notify(message: RpcNotification, related: RequestId | undefined): boolean {
    const { options, services } = this.#call.host;
    services.lists?.changed(message.method);
    const { id, era, response } = this.#call;
    this.#call.noticeListChange(message.method);
    if (this.#answered || this.#closed) {
      options.notices.dropped(message.method);
      return true;
    }
    const ofRequest = related ?? (era === 'legacy' ? currentCall.getStore()?.id : undefined);
    const isRelated = id !== undefined && id === ofRequest;
    // A JSON body holds the answer alone.
    if (isRelated && (options.responseMode !== 'json' || this.#call.guest !== undefined))
      response.message(JSON.stringify(message));
    // No client was promised changed lists, and the SDK awaits none that it sends: a rejection would end the process.
    return isRelated || era === 'modern' || methodOf(message.method).changes !== undefined;
  }

  // ——— its end ———

  fail(cause: unknown): void {
    this.options.logger.warn({ err: cause }, 'The server of a request could not be closed');
  }

  /** Before an answer this means that its client left. */
  sinkClosed(): void {
    if (!this.#answered) this.close().catch((cause: unknown) => this.fail(cause));
  }

  async close(): Promise<void> {
    this.endTurn();
  }

  /** The client left, or the turn of the answer ends: the SDK aborts what still runs. */
  endTurn(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#asked?.take({});
    const { refusal, id } = this.#call;
    const isDelivered = this.#deliver !== undefined && id !== undefined;
    if (!this.#answered && (refusal !== undefined || isDelivered))
      this.#call.refuse(refusal ?? this.#call.host.lifecycle.closedEarly());
    try {
      tellClosed(this.server, this.onclose, !this.#answered);
    } finally {
      this.#deliver?.('done');
    }
  }

  connectFailed(cause: unknown): void {
    const failed = factoryFailed('the connect() of the server rejected', cause);
    const error = answerable(
      failed,
      this.options.logger,
      'A request without a session could not be served',
    );
    guarded(this.#call.caller, () => this.refuse(error));
  }

  async refuse(
    error = this.#call.host.lifecycle.closedEarly(this.#deliver !== undefined),
  ): Promise<void> {
    const call = this.#call;
    call.refusal ??= error;
    await this.close();
    if (!this.#answered) call.refuse(call.refusal ?? error);
  }
}

/** A question to the client, or the end of one. */
const isAsking = (message: { readonly method: string }): boolean =>
  'id' in message || roleOf(message.method) === 'cancel';

const asksRoots = (method: unknown): boolean =>
  typeof method === 'string' && methodOf(method).asks === 'roots';

/** The Go SDK cannot read a `roots/list` of an `input_required` result that has no `params`. */
function withRootsParams(message: RpcResponse): RpcResponse {
  const { result } = message;
  if (
    !isObject(result) ||
    result['resultType'] !== 'input_required' ||
    !isObject(result['inputRequests'])
  )
    return message;
  const inputRequests = Object.entries(result['inputRequests']).map(([name, request]) =>
    isObject(request) && asksRoots(request['method']) && request['params'] === undefined
      ? [name, { ...request, params: {} }]
      : [name, request],
  );
  return { ...message, result: { ...result, inputRequests: Object.fromEntries(inputRequests) } };
}

/** No client can receive change announcements, so the server must not promise them. */
function withoutListChanged(method: string | undefined, message: RpcResponse): RpcResponse {
  const capabilities =
    roleOf(method) === 'handshake' ? message.result?.['capabilities'] : undefined;
  if (!isObject(capabilities)) return message;
  const quiet = Object.fromEntries(
    Object.entries(capabilities).map(([name, value]) => {
      if (!isObject(value) || !('listChanged' in value)) return [name, value];
      const { listChanged: _, ...rest } = value;
      return [name, rest];
    }),
  );
  return { ...message, result: { ...message.result, capabilities: quiet } };
}
