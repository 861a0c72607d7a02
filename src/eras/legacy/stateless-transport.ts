/**
 * The SDK's `Transport` of one request or notification without a session. Nothing can come back to it, so
 * server→client requests are refused at once.
 */
import type { JSONRPCMessage, RequestId, TransportSendOptions } from '@modelcontextprotocol/server';
import { type SojournError, statelessUnsupported } from '../../errors.ts';
import { answerable, answerJson, guarded } from '../../http/answer.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { isObject, type RpcNotification, type RpcRequest, type RpcResponse } from '../../protocol/jsonrpc.ts';
import { type AnyServer, dropNotifications, innerServer } from '../../sdk/server-shape.ts';
import type { AroundRequests, RunPlace } from '../../session/calls/around-requests.ts';
import { type Call, currentCall } from '../../session/calls/call.ts';
import type { ConnectingTransport } from '../../session/server/connecting.ts';
import { ServerTransport } from '../../session/server/server-transport.ts';
import type { SharedLists } from '../../session/calls/shared-lists.ts';
import type { Logger } from '../../types.ts';
import type { CallTransport, Stop } from '../ladder.ts';
import type { SessionlessCall } from '../sessionless-call.ts';

/** Who asks, for the error that says it cannot be. */
const FEATURES: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'Sampling',
  'elicitation/create': 'Elicitation',
  'roots/list': 'Roots',
};

/** What the transports of an endpoint share. */
export interface StatelessHost {
  readonly options: Pick<ResolvedOptions, 'logger' | 'notices' | 'responseMode'>;
  readonly lists?: SharedLists | undefined;
  readonly around: AroundRequests | undefined;
}

export class StatelessTransport extends ServerTransport implements ConnectingTransport, CallTransport, RunPlace {
  protected readonly server: AnyServer;
  readonly #call: SessionlessCall;
  readonly #host: StatelessHost;
  #closed = false;
  #answered = false;

  constructor(call: SessionlessCall, server: AnyServer, host: StatelessHost) {
    super();
    this.#call = call;
    this.server = server;
    this.#host = host;
  }

  protected get logger(): Logger {
    return this.#host.options.logger;
  }

  async start(): Promise<void> {}

  /** Its request is answered, its client left, or the endpoint closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the transport is closed. */
  deliver(message: RpcRequest | RpcNotification): Promise<Stop> {
    const call = this.#call;
    const { run } = call;
    const context = run?.enter === undefined ? call : call.hidden();
    const ended = call.dispatched();
    if ('id' in message) {
      call.around = this.#host.around?.open(this, context, message);
      call.response.begin();
    }
    const { around } = call;
    const enter = around === undefined ? () => this.receive(message, context) : () => around.start();
    const deliver = (): void => currentCall.run(context, enter);
    if (run?.enter === undefined) deliver();
    else run.enter(deliver);
    return ended;
  }

  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (!('method' in message)) return this.#answer(message as RpcResponse);
    if ('id' in message) throw statelessUnsupported(FEATURES[message.method] ?? `The request ${message.method}`);
    return this.#notify(message as RpcNotification, options?.relatedRequestId);
  }

  #answer(message: RpcResponse): void {
    const { id } = this.#call;
    if (id === undefined || message.id !== id || this.#answered) return;
    const answer = this.#call.outcomeOf(message);
    if (this.#call.around?.take(answer) !== true) this.answered(this.#call, answer);
  }

  get era(): 'legacy' {
    return 'legacy';
  }

  get version(): string {
    return this.#call.version;
  }

  answered({ id, method }: Call, message: RpcResponse): void {
    if (id === undefined || this.#answered) return;
    const answer = method === 'initialize' ? withoutListChanged(message) : message;
    this.#reply(answerJson(answer, id, this.logger));
  }

  #reply(json: string): void {
    this.#answered = true;
    const { response, caller } = this.#call;
    response.answer(json);
    queueMicrotask(() => guarded(caller, () => this.close()));
  }

  #notify(message: RpcNotification, related: RequestId | undefined): void {
    this.#host.lists?.changed(message.method);
    const { id, response } = this.#call;
    this.#call.noticeListChange(message.method, this.#host.options.notices);
    if (this.#answered) return this.#host.options.notices.dropped(message.method);
    const inRequest = id === (related ?? currentCall.getStore()?.id);
    if (id === undefined || !inRequest)
      throw statelessUnsupported(`The notification ${message.method} outside of a request`);
    // A JSON body holds the answer alone.
    if (this.#host.options.responseMode !== 'json') response.message(JSON.stringify(message));
  }

  /** The client is gone, or the request is answered: the SDK aborts what still runs. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#answered) this.#endUnanswered();
    dropNotifications(this.server, this.#host.options.notices);
    try {
      this.onclose?.();
    } finally {
      this.#call.transportClosed();
    }
  }

  #endUnanswered(): void {
    const call = this.#call;
    const { refusal, response, id } = call;
    if (!call.isDispatched || id === undefined) {
      if (refusal !== undefined && !call.caller.closed) call.refuse(refusal);
      return;
    }
    const json = refusal === undefined ? undefined : call.unanswered();
    if (json === undefined) response.done(202);
    else response.answer(json);
  }

  connectFailed(cause: unknown): void {
    const error = answerable(cause, this.logger, 'A request without a session could not be served');
    guarded(this.#call.caller, () => this.refuse(error));
  }

  async refuse(error: SojournError): Promise<void> {
    this.#call.refuseWith(error);
    await this.close();
  }
}

const noQuestions = (what: string) => (): Promise<never> => Promise.reject(statelessUnsupported(what));

const QUESTIONS = {
  createMessage: noQuestions('Sampling'),
  elicitInput: noQuestions('Elicitation'),
  listRoots: noQuestions('Roots'),
  assertCapabilityForMethod: (method: string): never => {
    throw statelessUnsupported(FEATURES[method] ?? `The request ${method}`);
  },
};

/**
 * Makes the server refuse to ask its client, for the right reason. The SDK's own methods first look for capabilities,
 * which no client states without a handshake, and their errors would blame the client.
 */
export function refuseQuestions(server: AnyServer): void {
  const inner: unknown = innerServer(server);
  if (!isObject(inner)) return;
  for (const [name, refuse] of Object.entries(QUESTIONS)) {
    if (typeof inner[name] === 'function') inner[name] = refuse;
  }
}

/** No client can receive change announcements, so the server must not promise them. */
function withoutListChanged(message: RpcResponse): RpcResponse {
  const capabilities = message.result?.['capabilities'];
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
