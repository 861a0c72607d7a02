/**
 * The 2025 era without sessions: each POST gets a new server, which is closed when its requests are answered or its
 * client is gone. Nothing can come back to it, so server→client requests are refused at once.
 */
import type {
  AuthInfo,
  JSONRPCMessage,
  RequestId,
  ScopeChallengeHandler,
  TransportSendOptions,
} from '@modelcontextprotocol/server';
import { batchNotAllowed, internal, requestClosed, SojournError, statelessUnsupported } from '../../errors.ts';
import {
  answerable,
  asSojournError,
  errorJson,
  JSON_HEADERS,
  type LostForm,
  lostForm,
  refuse,
} from '../../http/answer.ts';
import { attempt } from '../../http/attempt.ts';
import type { Exchange } from '../../http/exchange.ts';
import { JsonSink } from '../../http/json-sink.ts';
import type { KeepAlive } from '../../http/keep-alive.ts';
import { admittedRequest, type RequestGate } from '../../http/request-gate.ts';
import { SSE_HEADERS } from '../../http/sse.ts';
import { SseSink } from '../../http/sse-sink.ts';
import { isObject, type RpcNotification, type RpcRequest, type RpcResponse } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Authorizer } from '../../session/authorizer.ts';
import type { ServerBuilder } from '../../session/builder.ts';
import { contexts, MessageContext } from '../../session/context.ts';
import { inHookTime } from '../../session/hook-time.ts';
import type { SessionRun } from '../../session/run.ts';
import { checkScopes, type ScopedTransport } from '../../session/scopes.ts';
import { ServerTransport } from '../../session/server-transport.ts';
import type { KnownPage, ListPage, SharedLists } from '../../session/shared-lists.ts';
import type { AnyServer } from '../../protocol/server-shape.ts';
import { Stream } from '../../session/stream.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';
import type { InboundPost } from '../../relay/call.ts';
import { requestSession } from '../request-session.ts';

export interface StatelessOptions {
  readonly options: ResolvedOptions;
  readonly servers: ServerBuilder;
  readonly keepAlive: KeepAlive;
  readonly authorizer?: Authorizer | undefined;
  readonly gate: RequestGate;
  readonly lists?: SharedLists | undefined;
}

/** In place of a version: a server without a handshake answers in one form. */
const STATELESS = 'stateless';

/** Who asks, for the error that says it cannot be. */
const FEATURES: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'Sampling',
  'elicitation/create': 'Elicitation',
  'roots/list': 'Roots',
};

export class StatelessEra {
  readonly #options: ResolvedOptions;
  readonly #servers: ServerBuilder;
  readonly #keepAlive: KeepAlive;
  readonly #authorizer: Authorizer | undefined;
  readonly #gate: RequestGate;
  readonly #lists: SharedLists | undefined;
  readonly #running = new Set<StatelessTransport>();

  constructor({ options, servers, keepAlive, gate, authorizer, lists }: StatelessOptions) {
    this.#options = options;
    this.#servers = servers;
    this.#keepAlive = keepAlive;
    this.#authorizer = authorizer;
    this.#gate = gate;
    this.#lists = lists;
  }

  post(post: InboundPost): void {
    const { exchange, messages } = post;
    const [first] = messages;
    if (post.batch || first === undefined) {
      return refuse(exchange, batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'), null);
    }
    if (first.kind === 'request') {
      const { message } = first;
      const admission = this.#gate.enter(admittedRequest(exchange, message, false));
      if (admission instanceof SojournError) return refuse(exchange, admission, message.id);
      const leave = (): void => admission.leave();
      const admitted = this.#authorizer?.admit(message, exchange.authInfo) ?? message;
      attempt(exchange, () =>
        admitted instanceof Promise
          ? admitted.then((request) => this.#serve(exchange, request, leave)).finally(leave)
          : this.#serve(exchange, admitted, leave),
      );
      return;
    }
    // Nothing waits for an answer or a notification: there is no session they could be for.
    exchange.respond(202, []);
  }

  /** `done` is called when the server of the request is closed, or was not made. */
  async #serve(exchange: Exchange, message: RpcRequest, done: () => void): Promise<void> {
    const { logger, timeProvider } = this.#options;
    let transport: StatelessTransport | undefined;
    let run: SessionRun | undefined;
    try {
      run = this.#servers.run(() => void transport?.close());
      const built = run;
      const server = await run.inOwnContext(async () => {
        const made = await this.#servers.build({
          era: 'legacy',
          caller: exchange,
          session: undefined,
          restored: false,
        });
        const { clientInfo, capabilities, protocolVersion } = handshakeParts(exchange, message);
        await built.start(
          exchange.request,
          requestSession({
            caller: exchange,
            createdAt: timeProvider.now(),
            clientInfo,
            clientCapabilities: capabilities,
            protocolVersion,
            server: made,
          }),
        );
        return made;
      });
      if (exchange.closed) {
        await server.close();
        run.leave('request_done');
        return done();
      }
      const form = lostForm(this.#options, message.method);
      const over = (): void => {
        this.#done(transport, server, run);
        done();
      };
      transport = new StatelessTransport({
        request: message,
        exchange,
        server,
        logger,
        form,
        done: over,
        lists: this.#lists,
      });
      this.#running.add(transport);
      exchange.onClose(() => transport?.close());
      const hook = { hook: 'the connect() of the server', sessionId: undefined };
      await inHookTime(this.#options, hook, server.connect(transport));
      const checked = transport.checkScopes([message], exchange.authInfo);
      const refusal = checked instanceof Promise ? await checked : checked;
      // While a resolver takes its time the client may leave, or the endpoint close.
      if (transport.closed) return;
      if (refusal !== undefined) return await transport.fail(refusal);
      const context = new MessageContext(
        exchange,
        undefined,
        run.enter !== undefined,
        message.id,
        message.method,
        undefined,
      );
      transport.dispatch(this.#servers.asked(message), context, run, this.#stream(exchange));
    } catch (cause) {
      run?.leave('request_done');
      const error = answerable(cause, logger, 'A stateless request could not be served');
      done();
      if (transport === undefined) refuse(exchange, error, message.id);
      else await transport.fail(error);
    }
  }

  #stream(exchange: Exchange): Stream {
    const json = this.#options.responseMode === 'json';
    const stream = new Stream('', undefined, 0, { answersOnly: json, requests: 1, call: undefined });
    stream.use(
      json
        ? new JsonSink(exchange, JSON_HEADERS, false)
        : new SseSink(exchange, SSE_HEADERS, {
            keepAlive: this.#keepAlive,
            bufferBytes: this.#options.limits.streamBufferBytes,
          }),
    );
    return stream;
  }

  #done(transport: StatelessTransport | undefined, server: AnyServer, run: SessionRun | undefined): void {
    if (transport !== undefined) this.#running.delete(transport);
    run?.leave('request_done');
    server.close().catch((cause: unknown) => {
      this.#options.logger.error({ err: cause }, 'The server of a stateless request could not be closed');
    });
  }

  get running(): number {
    return this.#running.size;
  }

  /** Ends what runs, each with an error. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map((transport) => transport.fail(requestClosed())));
  }
}

function handshakeParts(exchange: Exchange, { method, params }: RpcRequest) {
  const initialize = method === 'initialize' ? params : undefined;
  const header = exchange.header('mcp-protocol-version') ?? '';
  return {
    clientInfo: initialize?.['clientInfo'] as never,
    capabilities: initialize?.['capabilities'] as never,
    protocolVersion: typeof initialize?.['protocolVersion'] === 'string' ? initialize['protocolVersion'] : header,
  };
}

export interface StatelessTransportOptions {
  readonly request: RpcRequest;
  readonly exchange: Exchange;
  readonly server: AnyServer;
  readonly logger: Logger;
  readonly form: LostForm;
  readonly lists: SharedLists | undefined;
  /** Called when the server of the request is closed. */
  readonly done: () => void;
}

export class StatelessTransport extends ServerTransport implements ScopedTransport {
  protected readonly server: AnyServer;
  protected readonly logger: Logger;
  readonly #id: RequestId;
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

  constructor({ request, exchange, server, logger, form, done, lists }: StatelessTransportOptions) {
    super();
    const { id, method } = request;
    this.#id = id;
    this.#method = method;
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
    if (message.id !== this.#id || this.#answered) return;
    this.#answered = true;
    this.#page?.keep(message);
    const answer = this.#method === 'initialize' ? withoutListChanged(message) : message;
    let json;
    try {
      json = JSON.stringify(answer);
    } catch (cause) {
      json = errorJson(internal(cause), this.#id);
    }
    this.#reply(json);
  }

  protected answerWith(page: KnownPage): boolean {
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
    const inRequest = related === this.#id || (related === undefined && contexts.getStore()?.id === this.#id);
    if (!inRequest || this.#answered)
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

  async fail(cause: unknown): Promise<void> {
    if (!this.#answered) {
      this.#answered = true;
      const error = asSojournError(cause);
      if (this.#stream === undefined) refuse(this.#exchange, error, this.#id);
      else this.#stream.send(errorJson(error, this.#id, this.#form), true);
    }
    await this.close();
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
