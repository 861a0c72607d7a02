/**
 * Calls of 2025-era sessions whose live object is here, while the session is live on another instance. A server is made
 * for each, as for a request without a session, and gets the handshake of the session. Whatever its handler asks goes
 * back over the link: questions to the client leave from the session, and `currentSession().state` is the state there.
 */
import type {
  ClientCapabilities,
  Implementation,
  InitializeRequestParams,
  JSONRPCMessage,
  RequestId,
} from '@modelcontextprotocol/server';
import { factoryFailed, requestClosed, storeUnavailable } from '../../base/errors.ts';
import { inHookTime } from '../../base/hook-time.ts';
import { errorAnswer } from '../../http/answer.ts';
import { AnswerError } from '../../base/errors/answer-error.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { RpcMessage, RpcRequest, RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { userName } from '../../base/shown.ts';
import type { McpSession, State } from '../../base/types.ts';
import type { SentSession } from '../../session/inbound/inbound.ts';
import type { SentError } from '../../cluster/messages.ts';
import { checkKey, computed, SESSION_STATE, toJson } from '../../session/record/state.ts';
import { type LinkSink, readError } from '../../cluster/relay/link-sink.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import { Call, currentCall } from '../../session/calls/call.ts';
import { STATE_METHOD, type StateAsked } from '../../durable/live/guest-state.ts';
import type { Guest, SessionlessCall } from '../sessionless/sessionless-call.ts';
import { StatelessEra } from '../sessionless/stateless-era.ts';

const HANDSHAKE = 'sojourn.guest.';
/** So often an update is tried. */
const TRIES = 256;

export class GuestCalls extends StatelessEra {
  protected override guestOf(call: SessionlessCall, sent: SentSession, sink: LinkSink): Guest {
    return new SessionGuest(call, sent, sink);
  }

  protected override accept(call: SessionlessCall, server: AnyServer): void {
    if (call.guest === undefined) super.accept(call, server);
  }

  protected override connected({ guest, session }: SessionlessCall): MaybePromise<void> {
    const hook = { hook: 'the handshake of a session', sessionId: session?.id };
    return guest && inHookTime(this.host.options, hook, guest.greets());
  }
}

/** What a call has of its session, which is live on the instance that sent the call. */
class SessionGuest implements Guest {
  readonly session: McpSession;
  readonly #call: SessionlessCall;
  readonly #sent: SentSession;
  readonly #sink: LinkSink;
  /** What this library asked, by its id. */
  readonly #waiting = new Map<RequestId | undefined, (answer: RpcResponse) => void>();
  #asked = 0;

  constructor(call: SessionlessCall, sent: SentSession, sink: LinkSink) {
    this.#call = call;
    this.#sent = sent;
    this.#sink = sink;
    this.session = new GuestSession(call, sent, new GuestState(this));
    sink.onClose(() => this.#left());
  }

  /** Repeats the handshake to the server of this call. */
  async greets(): Promise<void> {
    const { version, clientInfo, capabilities, logLevel } = this.#sent;
    const params = {
      protocolVersion: version,
      clientInfo,
      capabilities,
    } as InitializeRequestParams;
    const answer = await this.#tell('initialize', params);
    if (answer.error !== undefined)
      throw factoryFailed(`the server refused initialize: ${answer.error.message}`);
    if (logLevel !== null) await this.#tell('logging/setLevel', { level: logLevel });
  }

  #tell(method: string, params: RpcRequest['params']): Promise<RpcResponse> {
    // No id that a client may choose for its call.
    const id = `${HANDSHAKE}${method}.${this.#call.id}`;
    return this.#answerOf(id, () =>
      this.#receive({ jsonrpc: '2.0', id, method, ...(params && { params }) }),
    );
  }

  #answerOf(id: string, send: () => void): Promise<RpcResponse> {
    // A handler that runs on after its client has left gets no answer.
    if (!this.#sink.isOpen) return Promise.resolve(cutAnswer(id));
    const answer = new Promise<RpcResponse>((resolve) => this.#waiting.set(id, resolve));
    send();
    return answer;
  }

  #receive(message: RpcMessage): void {
    const call = new Call(this.#call.caller, undefined, message);
    currentCall.run(call, () => this.#call.transport?.receive(message, call));
  }

  /** The server answers what this library told it. */
  took(answer: RpcResponse): void {
    this.#settle(answer);
  }

  /** A request of the server, or a notification beside its answers, goes to the client of the session. */
  asks(message: JSONRPCMessage): void {
    this.#sink.message(JSON.stringify(message));
  }

  /** Asks the state of the session. */
  async state(asked: StateAsked): Promise<unknown> {
    const id = `${HANDSHAKE}${(this.#asked += 1)}`;
    const message = { jsonrpc: '2.0', id, method: STATE_METHOD, params: asked } as const;
    const answer = await this.#answerOf(id, () => this.asks(message));
    const { error, result } = answer;
    if (error === undefined) return result?.['value'];
    const { refused } = Object(error.data) as { readonly refused?: SentError };
    throw refused === undefined ? new AnswerError(error) : readError(refused);
  }

  replied(answer: unknown): void {
    const message = answer as RpcMessage;
    if ('method' in message || !this.#settle(message)) this.#receive(message);
  }

  #settle(answer: RpcResponse): boolean {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    waiting?.(answer);
    return waiting !== undefined;
  }

  #left(): void {
    for (const id of this.#waiting.keys()) this.#settle(cutAnswer(id));
  }
}

const cutAnswer = (id: RequestId | undefined): RpcResponse =>
  errorAnswer(id, requestClosed(), 'error');

class GuestSession implements McpSession {
  readonly kind = 'session' as const;
  readonly id: string;
  readonly createdAt: number;
  readonly clientInfo: Implementation;
  readonly clientCapabilities: ClientCapabilities;
  readonly protocolVersion: string;
  readonly state: State;
  readonly #call: SessionlessCall;

  constructor(call: SessionlessCall, sent: SentSession, state: State) {
    this.#call = call;
    this.id = sent.id;
    this.createdAt = sent.createdAt;
    this.clientInfo = sent.clientInfo as Implementation;
    this.clientCapabilities = sent.capabilities as ClientCapabilities;
    this.protocolVersion = sent.version;
    this.state = state;
  }

  get userKey(): string | undefined {
    return this.#call.caller.userKey;
  }

  get userName(): string | undefined {
    return this.userKey && userName(this.userKey);
  }

  get server(): AnyServer {
    const { made } = this.#call;
    if (made === undefined)
      throw new Error('session.server is not there yet: the factory is still making it');
    return made;
  }

  get signal(): AbortSignal {
    return this.#call.caller.request.signal;
  }
}

/** The state of the session, at its instance. Values are checked here, as a session checks its own. */
class GuestState implements State {
  readonly #guest: SessionGuest;

  constructor(guest: SessionGuest) {
    this.#guest = guest;
  }

  async get<T = unknown>(key: string): Promise<T | undefined> {
    return (await this.#guest.state({ op: 'get', key })) as T | undefined;
  }

  async set(key: string, value: unknown): Promise<void> {
    checkKey(SESSION_STATE, key);
    toJson(SESSION_STATE, key, value);
    await this.#guest.state({ op: 'set', key, value });
  }

  async delete(key: string): Promise<boolean> {
    return (await this.#guest.state({ op: 'delete', key })) === true;
  }

  async entries(): Promise<Array<[string, unknown]>> {
    return (await this.#guest.state({ op: 'entries' })) as Array<[string, unknown]>;
  }

  /** `fn` runs again where another change was faster, as that of a handle does. */
  async update<T>(key: string, fn: (current: T | undefined) => T): Promise<T> {
    for (let tries = 0; tries < TRIES; tries++) {
      const was = await this.get<T>(key);
      const value = computed(SESSION_STATE, fn, was);
      if (value === undefined) return value;
      checkKey(SESSION_STATE, key);
      toJson(SESSION_STATE, key, value);
      if ((await this.#guest.state({ op: 'swap', key, was, value })) === true) return value;
    }
    throw storeUnavailable(`session.state was changed by others ${TRIES} times in a row`);
  }
}
