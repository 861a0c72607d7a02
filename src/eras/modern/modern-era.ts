/**
 * The 2026-07-28 era: each request is served by itself, with a new server. This file has the order of checks, the
 * header comparison by digits, the hooks, and the way of the answer.
 *
 *     almost every request                                                    ─▶ `direct.ts`
 *     `subscriptions/listen`, a notification, a request that the SDK must
 *     refuse, and every request that `direct.ts` does not serve               ─▶ the SDK's `createMcpHandler`
 *
 * With `auto` and `sse` the head waits up to 30 ms, so that an early error can choose the HTTP status. Then a stream
 * is committed, and the answer follows as one event.
 */
import {
  createMcpHandler,
  type McpHttpHandler,
  type McpServer,
  type Server,
  type ServerEventBus,
} from '@modelcontextprotocol/server';
import { answerNotKept, headerMismatch, invalidRequest, requestClosed, SojournError } from '../../errors.ts';
import { answerable, errorJson, type LostForm, lostForm, refuse } from '../../http/answer.ts';
import { attempt } from '../../http/attempt.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { KeepAlive } from '../../http/keep-alive.ts';
import { LargeAnswers } from '../../http/large-answers.ts';
import { CLIENT_LEFT } from '../../observe/watched-request.ts';
import type { RequestGate } from '../../http/request-gate.ts';
import type { Reader, ResponsePolicy } from '../../http/reader.ts';
import { type AnswerReader, HttpResponse } from '../../http/response.ts';
import { passOn } from '../../http/sdk-response.ts';
import type { MemoryUse } from '../../http/slow-readers.ts';
import type { StreamExpiry } from '../../http/stream-expiry.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { RandomSource } from '../../options/system.ts';
import { quoted } from '../../shown.ts';
import type { Authorizer } from '../../session/calls/authorizer.ts';
import type { ServerBuilder } from '../../session/server/server-builder.ts';
import type { CallTimes } from '../../session/calls/call-times.ts';
import { contexts } from '../../session/calls/context.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { SharedLists } from '../../session/server/shared-lists.ts';
import type { McpHttpRequest } from '../../types.ts';
import { isModern } from '../../protocol/versions.ts';
import { checkListen, claimedVersion } from '../message-checks.ts';
import { untilHandled } from '../notification-handler.ts';
import type { Relay } from '../../relay/relay.ts';
import { RequestRuns } from '../request-runs.ts';
import type { Call, InboundPost } from '../../call/call.ts';
import { checkStandardHeaders } from './mcp-headers.ts';
import { ModernDirect } from './direct.ts';
import { firstPosition, formatCallPosition, parseCallPosition } from './call-position.ts';
import { hasModernEnvelope } from './envelopes.ts';
import { respondLostAnswer } from './lost-answers.ts';
import type { LostRequest, LostRequestServer } from './may-run-twice.ts';
import { ResumableCalls } from './resumable-calls.ts';
import { ReturningClients, type ReturningClientsOptions } from './returning-clients.ts';
import { contextOf, ModernCall, type ModernMessage, type StreamBeginner } from './modern-call.ts';
import { ModernServers } from './servers.ts';

/**
 * How long the head waits for an answer that may choose the status. A server that dies before the head takes some
 * clients down with it; a later death costs them only the call. The CPU per request is the same with 20, 50 and 250.
 */
const HEAD_WAIT_MS = 30;

export interface ModernOptions {
  readonly options: ResolvedOptions;
  readonly servers: ServerBuilder;
  readonly bus: ServerEventBus;
  readonly random: RandomSource;
  readonly keepAlive: KeepAlive;
  readonly expiry: StreamExpiry;
  readonly authorizer?: Authorizer | undefined;
  readonly lists?: SharedLists | undefined;
  readonly gate: RequestGate;
  readonly callTimes: CallTimes;
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
  readonly memory: MemoryUse;
  /** For the option `resumeModernCalls`; `undefined`: it is off. */
  readonly resuming: Pick<ReturningClientsOptions, 'records' | 'instance' | 'replays'> | undefined;
}

export class ModernEra implements LostRequestServer, StreamBeginner {
  readonly #options: ResolvedOptions;
  readonly #runs: RequestRuns;
  readonly #servers: ModernServers;
  readonly #direct: ModernDirect;
  /** What the responses of each kind have in common. */
  readonly #responses: Record<'request' | 'listen' | 'notification' | 'returned', ResponsePolicy>;
  readonly #random: RandomSource;
  readonly #gate: RequestGate;
  readonly #callTimes: CallTimes;
  readonly #authorizer: Authorizer | undefined;
  readonly #lifecycle: ModernOptions['lifecycle'];
  readonly #handler: McpHttpHandler;
  readonly #calls = new WeakMap<object, ModernCall>();
  /** `undefined`: a request whose connection breaks is cancelled. */
  readonly #resumable: ResumableCalls | undefined;
  readonly #returning: ReturningClients | undefined;
  #running = 0;

  constructor(given: ModernOptions) {
    const { options, servers, bus, keepAlive, gate, random, expiry, authorizer, lifecycle, lists } = given;
    this.#options = options;
    this.#runs = new RequestRuns(servers);
    this.#servers = new ModernServers(options, servers, this.#runs);
    this.#direct = new ModernDirect(options, this.#servers, given.callTimes, lifecycle, lists);
    this.#lifecycle = lifecycle;
    this.#random = random;
    const { responseMode, timeProvider: time } = options;
    const { streamBufferBytes: bufferBytes } = options.limits;
    const largeAnswers = new LargeAnswers(options.logger);
    const returned: ResponsePolicy = { form: 'events', keepAlive, bufferBytes, largeAnswers };
    const request: ResponsePolicy = {
      ...returned,
      form: responseMode === 'sse' ? 'events' : responseMode,
      ...(responseMode !== 'json' && { headWait: { time, ms: HEAD_WAIT_MS } }),
    };
    const { headWait: _, ...notification } = { ...request, form: 'json' as const };
    this.#responses = { request, listen: { ...request, expiry }, notification, returned };
    this.#gate = gate;
    this.#callTimes = given.callTimes;
    this.#authorizer = authorizer;
    if (given.resuming !== undefined) {
      const parts = { ...given.resuming, response: returned, options, random };
      const calls = new ResumableCalls({ ...parts, memory: given.memory });
      this.#resumable = calls;
      this.#returning = new ReturningClients({ ...parts, calls, server: this });
    }
    this.#handler = createMcpHandler((context) => this.#build(context.requestInfo as McpHttpRequest), {
      legacy: 'reject',
      bus,
      // The SDK's word for none is 0.
      keepAliveMs: Number.isFinite(options.keepAliveMs) ? options.keepAliveMs : 0,
      maxSubscriptions: options.limits.subscriptions,
      responseMode: options.responseMode === 'json' ? 'json' : 'auto',
      onerror: (error) => {
        options.logger.debug({ err: error }, 'A modern request was refused or failed');
        this.#calls.get(contexts.getStore()?.request ?? options)?.noteFailure(error);
        options.onerror?.(error);
      },
    });
  }

  /** `false`: the SDK takes the message for one of an earlier revision. */
  serve(post: InboundPost, header: string | undefined): boolean {
    const { exchange } = post;
    const [first] = post.messages;
    if (first?.kind !== 'request' && first?.kind !== 'notification') {
      refuse(exchange, invalidRequest('an answer cannot be posted in protocol revision 2026-07-28'), null);
      return true;
    }
    const request = first.kind === 'request' ? first.message : undefined;
    const claim = claimedVersion(first);
    const refusal = request === undefined ? undefined : this.#checkHeaders(exchange, request, header, claim);
    if (refusal === undefined && request?.method === 'initialize' && !hasModernEnvelope(exchange, request))
      return false;
    const admission = refusal ?? this.#gate.enter(exchange, first.message.method, false);
    if (admission instanceof SojournError) {
      refuse(exchange, admission, request?.id ?? null);
      return true;
    }
    const version = typeof claim === 'string' ? claim : (header ?? '');
    const response = new HttpResponse(exchange, this.#policyOf(request));
    // A `listen` stream has no answer, and JSON bodies have no event ids.
    const hasIds =
      this.#options.responseMode !== 'json' && request !== undefined && request.method !== 'subscriptions/listen';
    const resumable = hasIds ? this.#resumable?.open(exchange, response, request, version) : undefined;
    const caller = resumable?.caller ?? exchange;
    const message = { caller, text: post.text, message: first, version, admission };
    attempt(caller, () => this.#serve(this.#call(message, resumable ?? response)));
    return true;
  }

  async #serve(call: ModernCall): Promise<void> {
    try {
      if (this.#authorizer !== undefined && call.request !== undefined)
        await this.#authorize(call, call.request, this.#authorizer);
    } catch (cause) {
      call.done();
      throw cause;
    }
    if (call.caller.closed) call.done();
    else await this.#answer(call);
  }

  /** A GET whose `Last-Event-ID` names a request of this era. */
  lostAnswer(exchange: Exchange, relay: Relay): void {
    const reader = new HttpResponse(exchange, this.#responses.returned);
    this.resume({ kind: 'answer', exchange, reader, requestId: null, after: exchange.header('last-event-id') }, relay);
  }

  resume(call: Call, relay: Pick<Relay, 'send'>): void {
    const { exchange, reader, after } = call;
    const refusal = this.#gate.count(exchange);
    const returning = this.#returning;
    const position = parseCallPosition(after);
    if (position === undefined || position.ended) return reader.done(204);
    if (returning === undefined) {
      reader.begin(this.#responses.returned);
      respondLostAnswer(reader, position, answerNotKept(), this.#options);
    } else if (refusal !== undefined) returning.delay(call, position);
    else attempt(exchange, () => returning.resume(call, position, relay));
  }

  #policyOf(request: RpcRequest | undefined): ResponsePolicy {
    if (request === undefined) return this.#responses.notification;
    return request.method === 'subscriptions/listen' ? this.#responses.listen : this.#responses.request;
  }

  serveAgain(lost: LostRequest, counts: boolean): void {
    const { caller, request, version } = lost;
    const admission = counts ? this.#gate.enter(caller, request.method, false) : undefined;
    if (admission instanceof SojournError) return lost.refuse(admission, request.id);
    const message = { kind: 'request', message: request } as const;
    attempt(lost, () => this.#serve(this.#call({ caller, text: undefined, message, version, admission }, lost)));
  }

  async #authorize(call: ModernCall, sent: RpcRequest, authorizer: Authorizer): Promise<void> {
    const { caller } = call;
    const admitted = await authorizer.admit(sent, caller.authInfo);
    if (admitted === sent) return;
    call.authorized(admitted);
    const name = admitted.params?.['name'] ?? admitted.params?.['uri'];
    // The SDK compares the header with the message.
    if (caller.header('mcp-name') !== undefined && typeof name === 'string')
      caller.canonicalHeaders.set('mcp-name', name);
  }

  #checkHeaders(
    exchange: Exchange,
    request: RpcRequest,
    header: string | undefined,
    claim: unknown,
  ): SojournError | undefined {
    const headerIsModern = header !== undefined && isModern(header);
    const claimIsModern = typeof claim === 'string' && isModern(claim);
    if (request.method === 'initialize' && !claimIsModern) {
      return headerIsModern
        ? headerMismatch('MCP-Protocol-Version', header, 'but initialize is the handshake of earlier revisions')
        : undefined;
    }
    if (typeof claim === 'string' && header !== claim) {
      return headerMismatch('MCP-Protocol-Version', header, `the body names protocol version ${quoted(claim)}`);
    }
    return checkStandardHeaders(exchange, request) ?? checkListen(request, this.#options.limits);
  }

  get running(): number {
    return this.#running;
  }

  async #answer(call: ModernCall): Promise<void> {
    const id = call.request?.id ?? null;
    const { response: answer } = call;
    // A listen stream never ends by itself, so a drain does not wait for it.
    const counts = call.request?.method === 'subscriptions/listen' ? 0 : 1;
    this.#running += counts;
    answer.begin();
    try {
      if (this.#lifecycle.refusal !== undefined) throw this.#lifecycle.refusal;
      const served = this.#direct.serve(call);
      if (served instanceof Promise ? await served : served) return;
      const response = await this.#fetch(call);
      // The SDK's status for a server that closed before it answered. The client is still connected when this endpoint
      // closed it.
      if (response.status === CLIENT_LEFT && this.#lifecycle.refusal !== undefined) call.refuse(requestClosed());
      if (response.status === 500 && call.refusal === undefined) {
        this.#options.logger.error({ err: call.failure }, 'The SDK could not serve a modern request');
      }
      if (call.refusal !== undefined) this.#refuse(call, call.refusal);
      else {
        await passOn(response, answer, {
          unanswered: () =>
            id === null ? undefined : errorJson(call.refusal ?? requestClosed(), id, this.#lostForm(call)),
          reveal: (frame) => this.#authorizer?.reveal(frame) ?? frame,
          closes: (stream) => call.closes(stream),
        });
        if (id === null) await untilHandled(this.#options, call.handling);
      }
    } catch (cause) {
      this.#refuse(call, answerable(cause, this.#options.logger, 'A modern request could not be served'));
    } finally {
      call.done();
      this.#running -= counts;
    }
  }

  #call(message: ModernMessage, response: AnswerReader): ModernCall {
    // A client that lost a `listen` stream has no answer to wait for. A resumable call sends its own first event.
    const { kind, message: sent } = message.message;
    const isPlain = kind === 'request' && sent.method !== 'subscriptions/listen' && response instanceof HttpResponse;
    return new ModernCall(message, response, isPlain ? this : undefined);
  }

  beginStream(to: Reader, request: RpcRequest): void {
    const id = formatCallPosition(firstPosition(request, this.#random));
    if (id !== '') to.point(id, this.#options.retryMs, true);
  }

  #refuse(call: ModernCall, error: SojournError): void {
    call.response.refuse(error, call.request?.id ?? null, this.#lostForm(call));
  }

  #lostForm({ request }: ModernCall): LostForm {
    return lostForm(this.#options, request?.method, 'modern');
  }

  #fetch(call: ModernCall): Promise<Response> {
    const { request, authInfo } = call.caller;
    this.#calls.set(request, call);
    // The SDK checks the scopes, and then asks the handler.
    call.work.beforeHandler(() => {
      call.enterTool();
      if (call.request !== undefined) this.#callTimes.start(call.work, call.request, (error) => call.expire(error));
    });
    return contexts.run(contextOf(call, false), () =>
      this.#handler.fetch(request, { parsedBody: call.message, ...(authInfo !== undefined && { authInfo }) }),
    );
  }

  /** The factory for `createMcpHandler`. A refusal of sojourn bypasses the SDK's own answer through `call.refusal`. */
  async #build(request: McpHttpRequest): Promise<McpServer | Server> {
    const call = this.#calls.get(request);
    if (call === undefined) throw new Error('A server was asked for outside of a request');
    try {
      return call.server ?? (await this.#servers.build(call));
    } catch (cause) {
      call.refuse(answerable(cause, this.#options.logger, 'A modern request could not be served'));
      throw cause;
    }
  }

  /** Ends what runs. The lifecycle refuses new requests already. `handsOver`: another instance may continue calls. */
  async close(handsOver = false): Promise<void> {
    if (handsOver) await this.#resumable?.leave();
    this.#runs.close();
    this.#direct.close();
    await this.#handler.close();
    await this.#resumable?.close();
  }
}
