/**
 * The SDK's `Transport` of one request or notification without a session. Nothing can come back to it, so
 * server→client requests are refused at once.
 */
import type {
  AuthInfo,
  JSONRPCMessage,
  RequestId,
  ScopeChallengeHandler,
  TransportSendOptions,
} from '@modelcontextprotocol/server';
import { entryOf } from '../../entry-list.ts';
import { type SojournError, statelessUnsupported } from '../../errors.ts';
import { answerJson, asSojournError, attempt, errorJson, type LostForm, refuse } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { afterTurn } from '../../options/system.ts';
import {
  cancelledMessage,
  isObject,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../../protocol/jsonrpc.ts';
import { type AnyServer, innerServer } from '../../protocol/server-shape.ts';
import { contexts, MessageContext } from '../../session/calls/context.ts';
import type { SessionRun } from '../../session/server/run.ts';
import { checkScopes, type ScopedTransport } from '../../session/calls/scopes.ts';
import { ServerTransport } from '../../session/server/server-transport.ts';
import type { KnownPage, ListPage, SharedLists } from '../../session/server/shared-lists.ts';
import type { Stream } from '../../session/streams/stream.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';

/** In place of a version: a server without a handshake answers in one form. */
const STATELESS = 'stateless';

/** Who asks, for the error that says it cannot be. */
const FEATURES: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'Sampling',
  'elicitation/create': 'Elicitation',
  'roots/list': 'Roots',
};

export interface StatelessTransportOptions {
  readonly message: RpcRequest | RpcNotification;
  readonly exchange: Exchange;
  readonly server: AnyServer;
  readonly logger: Logger;
  readonly form: LostForm;
  readonly lists: SharedLists | undefined;
  /** Called when the server of the request is closed. */
  readonly done: () => void;
}

export class StatelessTransport extends ServerTransport implements ScopedTransport {
  /** Among the open ones. */
  readonly entry = entryOf<StatelessTransport>(this);
  protected readonly server: AnyServer;
  protected readonly logger: Logger;
  /** `undefined`: a notification. */
  readonly #id: RequestId | undefined;
  readonly #method: string;
  readonly #exchange: Exchange;
  readonly #form: LostForm;
  readonly #done: () => void;
  readonly #lists: SharedLists | undefined;
  #page: ListPage | undefined = undefined;
  #closed = false;
  #answered = false;
  /** Set by `dispatch`. An error before that is sent with its HTTP status. */
  #stream: Stream | undefined = undefined;
  #scopeChallenge: ScopeChallengeHandler | undefined = undefined;

  constructor({ message, exchange, server, logger, form, done, lists }: StatelessTransportOptions) {
    super();
    this.#id = 'id' in message ? message.id : undefined;
    this.#method = message.method;
    this.#exchange = exchange;
    this.server = server;
    this.logger = logger;
    this.#form = form;
    this.#done = done;
    this.#lists = lists;
  }

  async start(): Promise<void> {}

  /** Its request is answered, its client left, or the endpoint closed. */
  get closed(): boolean {
    return this.#closed;
  }

  setScopeChallengeResolver(resolver: ScopeChallengeHandler): void {
    this.#scopeChallenge = resolver;
  }

  checkScopes(requests: readonly RpcRequest[], authInfo: AuthInfo | undefined): MaybePromise<SojournError | undefined> {
    return checkScopes(this.#scopeChallenge, requests, authInfo, this.logger);
  }

  dispatch(message: RpcRequest, context: MessageContext, run: SessionRun, stream: Stream): void {
    this.#stream = stream;
    const page = this.#lists?.page(message, STATELESS);
    if (page !== undefined) context.onAnswer({ takes: 'result', run: (answer) => page.keep(answer), page });
    this.#page = page;
    this.deliver(message, context, run);
  }

  deliver(message: RpcRequest | RpcNotification, context: MessageContext, run: SessionRun): void {
    const deliver = (): void => contexts.run(context, () => this.receive(message, context));
    if (run.enter === undefined) deliver();
    else run.enter(deliver);
  }

  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (!('method' in message)) return this.#answer(message as RpcResponse);
    if ('id' in message) throw statelessUnsupported(FEATURES[message.method] ?? `The request ${message.method}`);
    return this.#notify(message as RpcNotification, options?.relatedRequestId);
  }

  #answer(message: RpcResponse): void {
    const id = this.#id;
    if (id === undefined || message.id !== id || this.#answered) return;
    this.#answered = true;
    this.#page?.keep(message);
    const answer = this.#method === 'initialize' ? withoutListChanged(message) : message;
    this.#reply(answerJson(answer, id, this.logger));
  }

  protected answerWith(page: KnownPage): boolean {
    if (this.#id === undefined) return false;
    this.#answered = true;
    this.#reply(page.answerTo(this.#id));
    return true;
  }

  #reply(json: string): void {
    this.#stream?.send(json, true);
    queueMicrotask(() => attempt(this.#exchange, () => this.close()));
  }

  #notify(message: RpcNotification, related: RequestId | undefined): void {
    this.#lists?.changed(message.method);
    const inRequest = this.#id === (related ?? contexts.getStore()?.id);
    if (this.#id === undefined || !inRequest || this.#answered)
      throw statelessUnsupported(`The notification ${message.method} outside of a request`);
    if (this.#stream?.answersOnly === false) this.#stream.send(JSON.stringify(message));
  }

  /** The client is gone, or the request is answered: the SDK aborts what still runs. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream?.finish();
    try {
      this.onclose?.();
    } finally {
      this.#done();
    }
  }

  /** The time of its request is over: aborts the handler, and then closes the server. */
  expire(error: SojournError): void {
    const cancelled = cancelledMessage(this.#id, error.message);
    const context = new MessageContext(this.#exchange, undefined, false, undefined, cancelled.method, undefined);
    contexts.run(context, () => this.receive(cancelled, context));
    afterTurn(() => attempt(this.#exchange, () => this.fail(error)));
  }

  async fail(cause: unknown): Promise<void> {
    if (!this.#answered) {
      this.#answered = true;
      const error = asSojournError(cause);
      if (this.#stream !== undefined) this.#stream.send(errorJson(error, this.#id ?? null, this.#form), true);
      else if (!this.#exchange.closed) refuse(this.#exchange, error, this.#id ?? null);
    }
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
