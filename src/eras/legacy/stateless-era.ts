/**
 * The 2025 era without sessions: each POST gets a new server, which is closed when its requests are answered or its
 * client is gone.
 */
import { batchNotAllowed, requestClosed, SojournError } from '../../errors.ts';
import { answerable, JSON_HEADERS, lostForm, refuse } from '../../http/answer.ts';
import { attempt } from '../../http/attempt.ts';
import type { Exchange } from '../../http/exchange.ts';
import { JsonSink } from '../../http/json-sink.ts';
import type { KeepAlive } from '../../http/keep-alive.ts';
import { type Admission, admittedRequest, type RequestGate, toolOf } from '../../http/request-gate.ts';
import { SSE_HEADERS } from '../../http/sse.ts';
import { SseSink } from '../../http/sse-sink.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Authorizer } from '../../session/authorizer.ts';
import type { ServerBuilder } from '../../session/server-builder.ts';
import { MessageContext } from '../../session/context.ts';
import { HandlerWork } from '../../session/handler-work.ts';
import { inHookTime } from '../../session/hook-time.ts';
import type { SessionRun } from '../../session/run.ts';
import type { SharedLists } from '../../session/shared-lists.ts';
import type { AnyServer } from '../../protocol/server-shape.ts';
import { Stream } from '../../session/stream.ts';
import type { InboundPost } from '../../relay/call.ts';
import { requestSession } from '../request-session.ts';
import { StatelessTransport } from './stateless-transport.ts';

export interface StatelessOptions {
  readonly options: ResolvedOptions;
  readonly servers: ServerBuilder;
  readonly keepAlive: KeepAlive;
  readonly authorizer?: Authorizer | undefined;
  readonly gate: RequestGate;
  readonly lists?: SharedLists | undefined;
}

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
      const admitted = this.#authorizer?.admit(message, exchange.authInfo) ?? message;
      attempt(exchange, async () => {
        const work = new HandlerWork();
        work.onDone(() => admission.leave());
        try {
          await this.#serve(exchange, admitted instanceof Promise ? await admitted : admitted, admission, work);
        } catch (cause) {
          work.end();
          throw cause;
        }
      });
      return;
    }
    // Nothing waits for an answer or a notification: there is no session they could be for.
    exchange.respond(202, []);
  }

  /** `work` ends when the server of the request is closed, or was not made. */
  async #serve(exchange: Exchange, message: RpcRequest, admission: Admission, work: HandlerWork): Promise<void> {
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
        return work.end();
      }
      const form = lostForm(this.#options, message.method);
      const over = (): void => {
        this.#done(transport, server, run);
        work.end();
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
      const forbidden = checked instanceof Promise ? await checked : checked;
      // While a resolver takes its time the client may leave, or the endpoint close.
      if (transport.closed) return;
      const refusal = forbidden ?? admission.enterTool(toolOf(message));
      if (refusal !== undefined) return await transport.fail(refusal);
      const context = new MessageContext(
        exchange,
        undefined,
        run.enter !== undefined,
        message.id,
        message.method,
        undefined,
        undefined,
        work,
      );
      transport.dispatch(this.#servers.asked(message), context, run, this.#stream(exchange));
    } catch (cause) {
      run?.leave('request_done');
      const error = answerable(cause, logger, 'A stateless request could not be served');
      work.end();
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
