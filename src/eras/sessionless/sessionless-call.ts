/**
 * One message without a session, of 2026-07-28 or of an endpoint without sessions: the context of its handler, which
 * knows its response and the server that was made for it. It takes the steps of `ladder.ts`.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  type ClientCapabilities,
  type Implementation,
  type JSONRPCMessage,
  ProtocolErrorCode,
} from '@modelcontextprotocol/server';
import { entryOf } from '../../base/entry-list.ts';
import type { SojournError } from '../../base/errors.ts';
import { errorAnswer, errorJson, lostForm, type LostForm } from '../../http/answer.ts';
import { SERVER_BYTES } from '../../http/body.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import { guarded } from '../../http/exchange.ts';
import { shareKey } from '../../base/budget.ts';
import type { Admission, RequestLimits } from '../../http/limits/request-limits.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { Sink, SinkListener } from '../../http/sink.ts';
import type { AnswerSink } from '../../http/sink.ts';
import { afterTurn } from '../../base/system.ts';
import {
  cancelledMessage,
  type Checked,
  isObject,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
  toolOf,
} from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import type { McpSession } from '../../base/types.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import type { Authorizer } from '../../http/auth/hook-authorizer.ts';
import { currentCall, Call } from '../../session/calls/call.ts';
import type { CallServices } from '../../session/calls/call-services.ts';
import type { LiveObjects } from '../../durable/live/live-objects.ts';
import type { SentRequest } from '../../cluster/relay/sent-request.ts';
import type { SessionRun } from '../../session/session-run.ts';
import type { FactoryCall, ServerBuilder } from '../../session/server/server-builder.ts';
import type { ServerTransport } from '../../session/server/server-transport.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import { callEventId } from '../../session/streams/event-id.ts';
import type { EnteringMessages, Stop } from '../ladder.ts';
import type { NoteClient } from '../message-checks.ts';

export type SentRpc = Extract<Checked, { kind: 'request' | 'notification' }>;

/** What the calls of an era share. */
export interface SessionlessHost {
  readonly era: 'legacy' | 'modern';
  readonly options: ResolvedOptions;
  readonly servers: ServerBuilder;
  readonly gate: RequestLimits;
  readonly services: CallServices & { readonly live: Pick<LiveObjects, 'placeKnown'> };
  readonly noteClient: NoteClient;
  readonly lifecycle: Pick<Lifecycle, 'refusal' | 'closedEarly'>;
}

export type SessionlessOptions = Omit<SessionlessHost, 'era'>;

/** What a call has of a session that is live on another instance (`guest-calls.ts`). */
export interface Guest {
  readonly session: McpSession;
  greets(): Promise<void>;
  took(answer: RpcResponse): void;
  asks(message: JSONRPCMessage): void;
  replied(answer: unknown): void;
}

/** What connects a message with the server that was made for it. */
interface CallTransport extends ServerTransport {
  deliver(message: RpcRequest | RpcNotification): Promise<Stop>;
  /** What its server answers to a request of this library. Comes before `deliver`, one at a time. */
  ask(method: string, params: RpcRequest['params']): Promise<Pick<RpcResponse, 'result'>>;
  /** Answers with an error, if there is no answer, and closes. */
  refuse(error?: SojournError): Promise<void>;
  /** The response is over. */
  sinkClosed(): void;
}

/** What a call that is over has of its message. */
const NOTHING: SentRpc = { kind: 'notification', message: { jsonrpc: '2.0', method: '' } };

export class SessionlessCall extends Call implements EnteringMessages, SinkListener, FactoryCall {
  readonly restored = false;
  declare readonly caller: CallerRequest;
  readonly #version: string;
  /** `undefined`: the message needs no place. */
  readonly admission: Admission | undefined;
  readonly response: AnswerSink;
  /** Set where this instance sends it, not a client. */
  own: SentRequest | undefined = undefined;
  /** Set when its server is being connected; never for a listen stream. */
  transport: CallTransport | undefined = undefined;
  readonly host: SessionlessHost;
  #sent: SentRpc;
  /** What the factory made, until it is closed. */
  made: AnyServer | undefined = undefined;
  /** The run hook around it. */
  run: SessionRun | undefined = undefined;
  /** Set where it belongs to a session that is live on another instance. */
  guest: Guest | undefined = undefined;
  /** Among those that run. */
  readonly entry = entryOf<SessionlessCall>(this);

  constructor(
    host: SessionlessHost,
    sent: SentRpc,
    caller: CallerRequest,
    version: string,
    admission: Admission | undefined,
    response: AnswerSink,
  ) {
    super(caller, undefined, sent.message);
    this.#sent = sent;
    this.#version = version;
    this.admission = admission;
    this.response = response;
    this.host = host;
    response.listener = this;
    caller.heldBy(this, SERVER_BYTES);
    if (admission !== undefined) this.holds(admission);
  }

  get message(): SentRpc['message'] {
    return this.#sent.message;
  }

  override get version(): string {
    return this.#version;
  }

  override get era(): 'legacy' | 'modern' {
    return this.host.era;
  }

  /** `undefined`: a notification. */
  override get sent(): RpcRequest | undefined {
    return this.#sent.kind === 'request' ? this.#sent.message : undefined;
  }

  override get session(): McpSession | undefined {
    return this.guest?.session;
  }

  /** What the client states about itself. */
  override get clientInfo(): Implementation | undefined {
    if (this.guest !== undefined) return this.guest.session.clientInfo;
    const ofHandshake =
      roleOf(this.method) === 'handshake' ? this.message.params?.['clientInfo'] : undefined;
    return (this.era === 'legacy' ? ofHandshake : this.#meta?.[CLIENT_INFO_META_KEY]) as
      | Implementation
      | undefined;
  }

  /** Whatever an `initialize` states, nothing leads back to the client. */
  get clientCapabilities(): ClientCapabilities | undefined {
    return this.era === 'legacy'
      ? undefined
      : (this.#meta?.[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities);
  }

  get #meta(): Readonly<Record<string, unknown>> | undefined {
    const meta = this.message.params?.['_meta'];
    return isObject(meta) ? meta : undefined;
  }

  /** A listen stream never ends by itself, and its client has no answer to wait for. */
  get listens(): boolean {
    return roleOf(this.sent?.method) === 'listen';
  }

  // ——— its way in (`ladder.ts`) ———

  get authorizer(): Authorizer | undefined {
    return this.host.services.authorizer;
  }

  get requests(): readonly RpcRequest[] {
    const { sent } = this;
    return sent === undefined ? [] : [sent];
  }

  get allowed(): readonly RpcRequest[] {
    return this.isRefused ? [] : this.requests;
  }

  set allowed(allowed: readonly RpcRequest[]) {
    this.isRefused = allowed.length < this.requests.length;
  }

  stopIfLeft(): Stop {
    if (this.caller.closed) return 'done';
    const { lifecycle } = this.host;
    const isClosed = this.transport?.closed === true || lifecycle.refusal !== undefined;
    return this.refusal ?? (isClosed ? lifecycle.closedEarly(false) : undefined);
  }

  /** The last check before its handler: takes the place of the called tool. Returns the error of a refusal. */
  takeToolPlace(): SojournError | undefined {
    const { sent: request } = this;
    if (request === undefined) return undefined;
    const refusal = this.admission?.enterTool(this.isRefused ? undefined : toolOf(request));
    if (refusal !== undefined) return refusal;
    this.host.noteClient(this.clientInfo, this.version);
    this.host.services.startTime?.(this, request, (error) => this.expire(error));
    return undefined;
  }

  /** Its time is over: aborts the handler, and then closes its server, so that the call is answered with `error`. */
  override expire(error: SojournError): void {
    // A task has its own time.
    if (this.response.taskId !== undefined) return;
    if (this.isOver) return this.expireHeld();
    this.refusal = error;
    this.around?.over(error);
    this.endAs('timedOut');
    const { transport } = this;
    const cancelled = cancelledMessage(this.id, error.message);
    const call = new Call(this.caller, undefined, cancelled);
    currentCall.run(call, () => transport?.onmessage?.(cancelled as JSONRPCMessage));
    afterTurn(() => guarded(this.caller, () => this.made?.close()));
  }

  // ——— its answer ———

  /** The client of a request gets an id, with which it comes back for the answer. */
  opened(to: Sink): void {
    const { sent, listens } = this;
    if (this.era === 'legacy' || sent === undefined || listens) return;
    const id = callEventId(sent.id, sent.method);
    if (id !== undefined) to.point(id, this.host.options.retryMs, true);
  }

  replied(answer: unknown): void {
    this.guest?.replied(answer);
  }

  sinkClosed(): void {
    // The handler of a notification runs on.
    if (this.id === undefined) return;
    // What its handler throws because of the abort is no failure.
    this.endAs('cancelled');
    this.transport?.sinkClosed();
  }

  unanswered(): string | undefined {
    return this.id === undefined
      ? undefined
      : errorJson(this.refusal ?? this.host.lifecycle.closedEarly(), this.id, this.#lostForm);
  }

  /** Answers with an error. */
  refuse(error: SojournError): void {
    this.response.refuse(error, this.id ?? null, this.#lostForm);
  }

  /** What its client gets for the answer of the server. */
  outcomeOf(answer: RpcResponse): RpcResponse {
    const { refusal } = this;
    return refusal === undefined ? answer : errorAnswer(this.id, refusal, this.#lostForm);
  }

  /** The HTTP status of an answer of its server, unless it came before a handler ran. */
  statusOf({ error }: RpcResponse): number {
    const isRefused = error?.code === ProtocolErrorCode.MissingRequiredClientCapability;
    return isRefused && this.era === 'modern' ? 400 : 200;
  }

  get #lostForm(): LostForm {
    return lostForm(this.host.options, this.method, this.era);
  }

  override get services(): CallServices {
    return this.host.services;
  }

  override get task(): Pick<AnswerSink, 'taskId'> {
    return this.response;
  }

  override get share(): string {
    return shareKey(this.caller.userKey, this.caller.clientAddress);
  }

  /**
   * The call is answered, or never will be. Timers that Node makes for its connection keep the call for as long as that
   * is idle, so it lets go of what the client sent.
   */
  over(): void {
    this.#sent = NOTHING;
    this.endAs('answered');
    this.around?.over(this.refusal);
    this.around = undefined;
    this.transport = undefined;
  }
}
