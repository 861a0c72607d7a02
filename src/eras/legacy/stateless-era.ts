/**
 * The 2025 era without sessions: each POST gets a new server. It is closed when its request is answered, the handler of
 * its notification has settled, or its client disconnected.
 */
import { EntryList } from '../../entry-list.ts';
import { batchNotAllowed, hookReturned, requestClosed, SojournError } from '../../errors.ts';
import { answerable, attempt, refuse } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { HttpResponse } from '../../http/response.ts';
import type { ResponsePolicy } from '../../http/reader.ts';
import type { RpcNotification, RpcRequest } from '../../protocol/jsonrpc.ts';
import { type AnyServer, closeServer, dropNotifications } from '../../protocol/server-shape.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { ReceivedPost } from '../../call/inbound.ts';
import { EARLY, RequestRuns } from '../request-runs.ts';
import { type CallHost, SessionlessCall, type SessionlessOptions } from '../sessionless-call.ts';
import { refuseQuestions, StatelessTransport } from './stateless-transport.ts';

export class StatelessEra {
  readonly #given: SessionlessOptions & CallHost;
  readonly #responses: ResponsePolicy;
  readonly #runs: RequestRuns;
  /** What is connected to its server. */
  readonly #open = new EntryList<StatelessTransport>();
  #running = 0;
  #closed = false;

  constructor(given: SessionlessOptions) {
    this.#given = { ...given, era: 'legacy' };
    const { options, keepAlive, servers } = given;
    const form = options.responseMode === 'json' ? 'json' : 'events';
    this.#responses = { form, keepAlive, bufferBytes: options.limits.streamBufferBytes };
    this.#runs = new RequestRuns(servers, options.timeProvider);
  }

  post(post: ReceivedPost): void {
    const { exchange, messages, text } = post;
    const [first] = messages;
    if (post.batch || first === undefined) {
      return refuse(exchange, batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'), null);
    }
    // There is no session with a question that this answer could be for.
    if (first.kind !== 'request' && first.kind !== 'notification') return exchange.respond(202, []);
    const admission = this.#given.gate.enter(exchange, first.message.method, false);
    if (admission instanceof SojournError) {
      return refuse(exchange, admission, first.kind === 'request' ? first.message.id : null);
    }
    const version = versionOf(exchange, first.message);
    const message = { caller: exchange, text, message: first, version, admission };
    const call = new SessionlessCall(message, new HttpResponse(exchange, this.#responses), this.#given);
    attempt(exchange, () => this.#serve(call));
  }

  async #serve(call: SessionlessCall): Promise<void> {
    const { authorizer, options, servers } = this.#given;
    if (authorizer !== undefined) await call.authorize(authorizer);
    const { caller } = call;
    let transport: StatelessTransport | undefined;
    this.#running += 1;
    try {
      const made = this.#build(call);
      const server = made instanceof Promise ? await made : made;
      const refusal = this.#closed ? requestClosed(false) : call.refusal;
      if (refusal !== undefined) throw refusal;
      if (caller.closed) return;
      transport = new StatelessTransport(call, server, this.#given);
      this.#open.add(transport.entry);
      caller.onClose(() => transport?.close());
      await servers.connect(server, transport, undefined);
      await this.#dispatch(call, transport);
    } catch (cause) {
      const error = answerable(cause, options.logger, 'A request without a session could not be served');
      call.work.end();
      if (transport !== undefined) await transport.fail(error);
      else if (!caller.closed) call.fail(error);
    } finally {
      this.#running -= 1;
      if (transport === undefined) dropNotifications(call.made, this.#given.options.notices);
      else this.#open.delete(transport.entry);
      call.done();
      this.#close(call);
    }
  }

  /** Resolves when the server of the call may be closed. */
  async #dispatch(call: SessionlessCall, transport: StatelessTransport): Promise<void> {
    const { callTimes, servers } = this.#given;
    const { caller, rpcRequest: request } = call;
    if (request === undefined) {
      if (transport.closed) return;
      void transport.deliver(call.message);
      call.response.done(202);
      return call.untilHandled();
    }
    const checked = transport.checkScopes([request], caller.authInfo);
    const forbidden = checked instanceof Promise ? await checked : checked;
    // While a resolver takes its time the client may leave, or the endpoint close.
    if (transport.closed) return;
    const refusal = call.admit(forbidden);
    if (refusal !== undefined) return transport.fail(refusal);
    callTimes?.start(call.work, request, (error) => call.expire(error));
    await transport.deliver(servers.asked(request));
  }

  /** The hooks and the factory. */
  #build(call: SessionlessCall): MaybePromise<AnyServer> {
    const { servers } = this.#given;
    if (!servers.hasRun) return this.#make(call);
    return this.#runs.build(
      call,
      () => this.#make(call),
      () => {
        call.refuse(hookReturned(EARLY));
        this.#close(call);
      },
    );
  }

  #make(call: SessionlessCall): MaybePromise<AnyServer> {
    const made = (server: AnyServer): AnyServer => {
      call.built(server);
      refuseQuestions(server);
      return server;
    };
    const server = this.#given.servers.build(call);
    return server instanceof Promise ? server.then(made) : made(server);
  }

  #close({ made }: SessionlessCall): void {
    closeServer(made).catch((cause: unknown) => {
      this.#given.options.logger.error({ err: cause }, 'The server of a stateless request could not be closed');
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

/** The version that an `initialize` requests, or that its client says it has negotiated. */
function versionOf(exchange: Exchange, { method, params }: RpcRequest | RpcNotification): string {
  const requested = method === 'initialize' ? params?.['protocolVersion'] : undefined;
  return typeof requested === 'string' ? requested : (exchange.header('mcp-protocol-version') ?? '');
}
