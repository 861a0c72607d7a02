/**
 * The SDK's `Transport` of one session. Messages enter the server in the context of their request
 * (`session/calls/call.ts`), and within the context of the session's run hook where there is one. It routes each
 * message of the server:
 *
 *     answer                       → the stream of its POST; the stream ends with its last answer
 *     related to a running request → that POST's stream (`relatedRequestId`, else by AsyncLocalStorage)
 *     everything else              → the GET stream; a request without one waits for it (`questions.ts`)
 *
 * `list_changed` and `resources/updated` are about the session and take the GET stream unless they name a request.
 * Progress of a call that was answered or cancelled is dropped: the specification ends it with its call, or with the
 * task of 2025-11-25 that the call asked for (servers of SDK 1). So is progress of a call whose stream has no log and no
 * sink: two streams have no order, so its client could read later progress on the GET stream before earlier progress on
 * the stream of the call.
 */
import {
  type AuthInfo,
  type JSONRPCMessage,
  ProtocolErrorCode,
  type RequestId,
  type TransportSendOptions,
} from '@modelcontextprotocol/server';
import { afterTurn, atEndOfTurn } from '../../base/system.ts';
import { internal, type SojournError, storeUnavailable } from '../../base/errors.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type {
  RpcMessage,
  RpcNotification,
  RpcRequest,
  RpcResponse,
} from '../../base/protocol/jsonrpc.ts';
import { methodOf, roleOf } from '../../base/protocol/methods.ts';
import { type AnyServer, isOlderServer } from '../../sdk/server-shape.ts';
import { currentCall, Call, type Caller } from '../calls/call.ts';
import { openRun } from '../calls/around-requests.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { inHookTime, isHookTimeout } from '../../base/hook-time.ts';
import { carrying } from '../calls/questions.ts';
import { ServerTransport } from './server-transport.ts';
import type { SessionParts } from '../session-parts.ts';
import type { Stream } from '../streams/stream.ts';

function isSessionLevel(method: string): boolean {
  const { changes, role } = methodOf(method);
  return changes !== undefined || role === 'updated';
}

export class SessionTransport extends ServerTransport {
  readonly #session: SessionParts;
  #isClosed = false;

  constructor(session: SessionParts) {
    super();
    this.#session = session;
  }

  protected get server(): AnyServer | undefined {
    return this.#session.server;
  }

  protected get options(): ResolvedOptions {
    return this.#session.host.options;
  }

  get sessionId(): string {
    return this.#session.id;
  }

  get closed(): boolean {
    return this.#session.ownership.left;
  }

  connectFailed(err: unknown): void {
    const { id: sessionId, logger } = this.#session;
    logger.warn(
      { err, sessionId },
      'The connect() of the server rejected after initialize: the session ends',
    );
    this.#session.serverClosed();
  }

  /** Reports at once that the transport is closed, when a server connects after its session has left. */
  start(): Promise<void> {
    if (this.#isClosed) this.onclose?.();
    return DONE;
  }

  override checkScopes(
    requests: readonly RpcRequest[],
    authInfo: AuthInfo | undefined,
  ): MaybePromise<SojournError | undefined> {
    const checked = super.checkScopes(requests, authInfo);
    if (!(checked instanceof Promise)) return checked;
    const { id: sessionId, host } = this.#session;
    return inHookTime(host.options, { hook: 'the scope check', sessionId }, checked).catch(
      (cause: unknown) => {
        if (isHookTimeout(cause)) return cause;
        throw cause;
      },
    );
  }

  /** Called by the server when it closes itself, and by the session when it leaves. */
  close(): Promise<void> {
    if (this.#isClosed) return DONE;
    this.#isClosed = true;
    this.onclose?.();
    this.#session.serverClosed();
    return DONE;
  }

  // ——— messages in ———

  callOf(message: RpcMessage, caller: Caller | undefined, stream?: Stream, attempt?: number): Call {
    const { middleware, notices } = this.options;
    const call = new Call(caller, this.#session, message, stream);
    if (attempt !== undefined && (middleware.length > 0 || notices.wantsCalls))
      call.around = openRun(this.options, this, call, attempt);
    return call;
  }

  deliver(message: RpcMessage, call: Call): SojournError | undefined {
    const { id: sessionId, logger, run } = this.#session;
    try {
      this.enterServer(message, call, run?.enter);
      return undefined;
    } catch (cause) {
      logger.error(
        { err: cause, sessionId },
        'The server threw at a message: its client gets an internal error',
      );
      return internal(cause);
    }
  }

  // ——— messages out ———

  send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    const { ownership, markers } = this.#session;
    if (markers === undefined) return this.#send(message, options);
    const from = currentCall.getStore();
    if (ownership.leaseValid) return this.#sendOf(from, message, options);
    // The server at another instance that sends it may be lost in that time: its questions are not those of this one.
    const far = from?.far;
    return ownership
      .untilLeaseValid()
      .then((valid) =>
        valid && from?.far === far ? this.#sendOf(from, message, options) : undefined,
      );
  }

  /**
   * A request that was taken back may have been retried under the same id. So of the messages that its handler still
   * sends, only those about the session leave.
   */
  #sendOf(
    from: Call | undefined,
    message: JSONRPCMessage,
    options: TransportSendOptions | undefined,
  ): Promise<void> {
    if (from?.end !== 'withdrawn') return this.#send(message, options);
    if (!('method' in message)) return DONE;
    if ('id' in message) return this.#refused(message, storeUnavailable('writing before a call'));
    return options?.relatedRequestId === undefined && isSessionLevel(message.method)
      ? this.#send(message, options)
      : DONE;
  }

  #send(message: JSONRPCMessage, options: TransportSendOptions | undefined): Promise<void> {
    try {
      if (!('method' in message)) this.#session.calls.answer(message as RpcResponse);
      else if ('id' in message) {
        const asked = this.#session.questions.ask(
          message as RpcRequest,
          this.#requestOf(options?.relatedRequestId),
        );
        return asked?.catch((error: unknown) => this.#refused(message, error)) ?? DONE;
      } else this.#notify(message as RpcNotification, options?.relatedRequestId);
      return DONE;
    } catch (error) {
      return this.#refused(message, error);
    }
  }

  #refused(message: JSONRPCMessage, error: unknown): Promise<never> {
    const isQuestion = 'method' in message && 'id' in message;
    const isOwn = currentCall.getStore()?.far === undefined;
    if (isQuestion && isOwn && isOlderServer(this.#session.server)) this.#dropUnsent(message.id);
    return Promise.reject(error);
  }

  /**
   * SDK 1 keeps what takes the answer of a question that was not sent, until it gets one: behind the rejection, and in
   * the turn whose end sends the answer of the call that asked.
   */
  #dropUnsent(id: RequestId): void {
    const error = { code: ProtocolErrorCode.InternalError, message: 'Not sent' };
    atEndOfTurn({
      endTurn: () => void (this.#isClosed || this.onmessage?.({ jsonrpc: '2.0', id, error })),
      fail: (cause) =>
        afterTurn(() => {
          throw cause;
        }),
    });
  }

  #notify(message: RpcNotification, related: RequestId | undefined): void {
    const session = this.#session;
    const { method } = message;
    if (methodOf(method).changes === 'tools_list_changed') session.markers?.forget();
    if (isSessionLevel(method)) this.#noticeChange(method);
    const call = this.#requestOf(related);
    const stream =
      related === undefined && isSessionLevel(method) ? undefined : carrying(call?.stream);
    const out =
      roleOf(method) === 'cancel' ? session.questions.cancel(message, call?.far) : message;
    if (out === undefined) return;
    if (stream !== undefined) stream.send(JSON.stringify(out));
    else if (roleOf(method) === 'progress' && this.#isOutOfOrder(related, call))
      session.logger.debug(
        { sessionId: session.id, method },
        'Dropped: its call is over, or has no stream to its client',
      );
    else session.push(out);
  }

  /** Whether progress that the stream of its call cannot carry must not take the GET stream either. */
  #isOutOfOrder(related: RequestId | undefined, call: Call | undefined): boolean {
    // It runs. Its client would read this before earlier progress, unless all progress takes the GET stream.
    if (call !== undefined)
      return call.stream !== undefined && this.options.responseMode !== 'json';
    // It is over, and so is its progress, unless it asked for a task of 2025-11-25.
    return related !== undefined && currentCall.getStore()?.sent?.params?.['task'] === undefined;
  }

  #noticeChange(method: string): void {
    const { host, record } = this.#session;
    host.services.lists?.changed(method);
    if (!record.remakesLists) currentCall.getStore()?.noticeListChange(method);
  }

  /** The running request that a message belongs to. */
  #requestOf(related: RequestId | undefined): Call | undefined {
    return related === undefined ? this.#ambient() : this.#session.calls.running.get(related);
  }

  #ambient(): Call | undefined {
    const call = currentCall.getStore();
    if (call?.id === undefined || call.isOver) return undefined;
    // A handler of another session may hold this one's server.
    return this.#session.calls.running.get(call.id) === call ? call : undefined;
  }
}

const DONE = Promise.resolve();
