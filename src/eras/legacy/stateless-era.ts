/**
 * The 2025 era without sessions: each POST gets a new server. It is closed when its request is answered, the handler of
 * its notification has settled, or its client disconnected.
 */
import { EntryList } from '../../entry-list.ts';
import { batchNotAllowed, hookReturned, requestClosed, SojournError } from '../../errors.ts';
import { answerable, attempt, lostForm, refuse } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { KeepAlive } from '../../http/keep-alive.ts';
import type { Admission, RequestLimits } from '../../limits/request-limits.ts';
import { HttpResponse } from '../../http/response.ts';
import type { ResponsePolicy } from '../../http/reader.ts';
import { type RpcNotification, type RpcRequest, toolOf } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Authorizer } from '../../session/calls/authorizer.ts';
import type { ServerBuilder } from '../../session/server/server-builder.ts';
import type { CallTimes } from '../../session/calls/call-times.ts';
import { MessageContext } from '../../session/calls/context.ts';
import { HandlerWork } from '../../session/calls/handler-work.ts';
import { inHookTime } from '../../session/server/hook-time.ts';
import type { SessionRun } from '../../session/server/run.ts';
import type { SharedLists } from '../../session/server/shared-lists.ts';
import type { AnyServer } from '../../protocol/server-shape.ts';
import { Stream } from '../../session/streams/stream.ts';
import type { InboundPost } from '../../call/call.ts';
import { untilHandled } from '../notification-handler.ts';
import { RequestRuns, requestSession } from '../request-runs.ts';
import { refuseQuestions, StatelessTransport } from './stateless-transport.ts';

export interface StatelessOptions {
  readonly options: ResolvedOptions;
  readonly servers: ServerBuilder;
  readonly keepAlive: KeepAlive;
  readonly authorizer?: Authorizer | undefined;
  readonly gate: RequestLimits;
  readonly callTimes: CallTimes;
  readonly lists?: SharedLists | undefined;
}

/** When the run hook of a request returned. */
const EARLY = 'before its request was answered';

export class StatelessEra {
  readonly #options: ResolvedOptions;
  readonly #servers: ServerBuilder;
  readonly #responses: ResponsePolicy;
  readonly #authorizer: Authorizer | undefined;
  readonly #gate: RequestLimits;
  readonly #callTimes: CallTimes;
  readonly #lists: SharedLists | undefined;
  readonly #runs: RequestRuns;
  /** What is connected to its server. */
  readonly #open = new EntryList<StatelessTransport>();
  #running = 0;
  #closed = false;

  constructor({ options, servers, keepAlive, gate, callTimes, authorizer, lists }: StatelessOptions) {
    this.#options = options;
    this.#servers = servers;
    const form = options.responseMode === 'json' ? 'json' : 'events';
    this.#responses = { form, keepAlive, bufferBytes: options.limits.streamBufferBytes };
    this.#authorizer = authorizer;
    this.#gate = gate;
    this.#callTimes = callTimes;
    this.#lists = lists;
    this.#runs = new RequestRuns(servers);
  }

  post(post: InboundPost): void {
    const { exchange, messages } = post;
    const [first] = messages;
    if (post.batch || first === undefined) {
      return refuse(exchange, batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'), null);
    }
    // There is no session with a question that this answer could be for.
    if (first.kind !== 'request' && first.kind !== 'notification') return exchange.respond(202, []);
    const admission = this.#gate.enter(exchange, first.message.method, false);
    if (admission instanceof SojournError) {
      return refuse(exchange, admission, first.kind === 'request' ? first.message.id : null);
    }
    if (first.kind === 'notification') {
      return attempt(exchange, () => this.#take(post, first.message).finally(() => admission.release()));
    }
    const { message } = first;
    const admitted = this.#authorizer?.admit(message, exchange.authInfo) ?? message;
    attempt(exchange, async () => {
      const work = new HandlerWork();
      exchange.heldBy(work);
      work.holds(admission);
      try {
        await this.#serve(exchange, admitted instanceof Promise ? await admitted : admitted, admission, work);
      } catch (cause) {
        work.end();
        throw cause;
      }
    });
  }

  /** `work` ends when the server of the request is closed, or was not made. */
  async #serve(exchange: Exchange, message: RpcRequest, admission: Admission, work: HandlerWork): Promise<void> {
    const { logger } = this.#options;
    let transport: StatelessTransport | undefined;
    this.#running += 1;
    const run = this.#runs.begin(exchange, () => void transport?.fail(hookReturned(EARLY)));
    const over = (): void => {
      this.#running -= 1;
      this.#runs.end(run);
      work.end();
    };
    try {
      const server = await this.#build(run, exchange, message);
      if (exchange.closed) {
        await server.close();
        return over();
      }
      transport = new StatelessTransport({
        message,
        exchange,
        server,
        logger,
        form: lostForm(this.#options, message.method),
        done: () => {
          this.#close(transport, server);
          over();
        },
        lists: this.#lists,
      });
      await this.#connect(transport, server, exchange);
      const checked = transport.checkScopes([message], exchange.authInfo);
      const forbidden = checked instanceof Promise ? await checked : checked;
      // While a resolver takes its time the client may leave, or the endpoint close.
      if (transport.closed) return;
      const refusal = forbidden ?? admission.enterTool(toolOf(message));
      if (refusal !== undefined) return await transport.fail(refusal);
      const { id, method } = message;
      const hidden = run.enter !== undefined;
      const context = new MessageContext(exchange, undefined, hidden, id, method, undefined, undefined, work);
      this.#callTimes.start(work, message, (error) => transport?.expire(error));
      transport.dispatch(this.#servers.asked(message), context, run, this.#stream(exchange));
    } catch (cause) {
      const error = answerable(cause, logger, 'A stateless request could not be served');
      work.end();
      if (transport !== undefined) return await transport.fail(error);
      over();
      refuse(exchange, error, message.id);
    }
  }

  /**
   * Makes a server for a notification, as the SDK's `createMcpHandler` does. The client gets 202 when the server has
   * the notification. The run hook lasts until the handler has settled.
   */
  async #take({ exchange }: InboundPost, message: RpcNotification): Promise<void> {
    const { logger } = this.#options;
    const [work, handling] = [new HandlerWork(), new HandlerWork()];
    exchange.heldBy(work);
    let transport: StatelessTransport | undefined;
    this.#running += 1;
    const run = this.#runs.begin(exchange, () => void transport?.fail(hookReturned(EARLY)));
    try {
      const server = await this.#build(run, exchange, message);
      const done = (): void => this.#close(transport, server);
      transport = new StatelessTransport({
        message,
        exchange,
        server,
        logger,
        form: 'error',
        done,
        lists: this.#lists,
      });
      await this.#connect(transport, server, exchange);
      if (transport.closed) return;
      const { method } = message;
      const hidden = run.enter !== undefined;
      const context = new MessageContext(
        exchange,
        undefined,
        hidden,
        undefined,
        method,
        undefined,
        undefined,
        handling,
      );
      transport.deliver(message, context, run);
      exchange.respond(202, []);
      await untilHandled(this.#options, handling);
    } catch (cause) {
      const error = answerable(cause, logger, 'A notification without a session could not be taken');
      if (!exchange.closed) refuse(exchange, error, null);
    } finally {
      this.#running -= 1;
      this.#runs.end(run);
      work.end();
      await transport?.close();
    }
  }

  /** The hooks and the factory. */
  #build(run: SessionRun, exchange: Exchange, message: RpcRequest | RpcNotification): Promise<AnyServer> {
    return run.inOwnContext(async () => {
      const server = await this.#servers.build({
        era: 'legacy',
        caller: exchange,
        session: undefined,
        restored: false,
      });
      refuseQuestions(server);
      const session = requestSession({
        caller: exchange,
        run,
        createdAt: this.#options.timeProvider.now(),
        ...handshakeParts(exchange, message),
        // Whatever an `initialize` states, nothing leads back to the client.
        clientCapabilities: undefined,
        server,
      });
      try {
        await run.start(exchange.request, session);
        if (this.#closed) throw requestClosed(false);
        if (run.left === 'handler_returned') throw hookReturned(EARLY);
        return server;
      } catch (cause) {
        this.#close(undefined, server);
        throw cause;
      }
    });
  }

  async #connect(transport: StatelessTransport, server: AnyServer, exchange: Exchange): Promise<void> {
    this.#open.add(transport.entry);
    exchange.onClose(() => transport.close());
    const hook = { hook: 'the connect() of the server', sessionId: undefined };
    await inHookTime(this.#options, hook, server.connect(transport));
  }

  #stream(exchange: Exchange): Stream {
    const answersOnly = this.#responses.form === 'json';
    const stream = new Stream('', undefined, 0, { answersOnly, requests: 1, call: undefined });
    stream.use(new HttpResponse(exchange, this.#responses).begin());
    return stream;
  }

  #close(transport: StatelessTransport | undefined, server: AnyServer): void {
    if (transport !== undefined) this.#open.delete(transport.entry);
    server.close().catch((cause: unknown) => {
      this.#options.logger.error({ err: cause }, 'The server of a stateless request could not be closed');
    });
  }

  /** Requests and notifications from their admission on, hooks and factory included. */
  get running(): number {
    return this.#running;
  }

  /** Ends what runs, each with an error. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#runs.close();
    await Promise.all([...this.#open].map((transport) => transport.fail(requestClosed())));
  }
}

function handshakeParts(exchange: Exchange, { method, params }: Pick<RpcRequest, 'method' | 'params'>) {
  const initialize = method === 'initialize' ? params : undefined;
  const header = exchange.header('mcp-protocol-version') ?? '';
  return {
    clientInfo: initialize?.['clientInfo'] as never,
    protocolVersion: typeof initialize?.['protocolVersion'] === 'string' ? initialize['protocolVersion'] : header,
  };
}
