/**
 * The 2025 era without sessions: each POST gets a new server. It is closed when its request is answered, the handler of
 * its notification has settled, or its client disconnected. `../ladder.ts` has the steps.
 */
import { batchNotAllowed, hookReturned } from '../../errors.ts';
import { guarded, refuse } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { HttpResponse } from '../../http/response.ts';
import { type ResponsePolicy, streamsOf } from '../../http/sink.ts';
import type { RpcNotification, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { ReceivedPost } from '../../inbound/inbound.ts';
import { type Shell, stateless, type Stop } from '../ladder.ts';
import { EARLY } from '../request-runs.ts';
import { SessionlessCall } from '../sessionless-call.ts';
import type { CallHost, SessionlessOptions } from '../sessionless-options.ts';
import { SessionlessRequests } from '../sessionless-requests.ts';
import { refuseQuestions, StatelessTransport } from './stateless-transport.ts';

export class StatelessEra implements Shell<SessionlessCall> {
  readonly #given: SessionlessOptions & CallHost;
  readonly #responses: ResponsePolicy;
  readonly #requests: SessionlessRequests;
  readonly #steps = stateless(this);

  constructor(given: SessionlessOptions) {
    this.#given = { ...given, era: 'legacy' };
    const { options } = given;
    const form = options.responseMode === 'json' ? 'json' : 'events';
    this.#responses = { ...streamsOf(options), form };
    this.#requests = new SessionlessRequests(given);
  }

  post(post: ReceivedPost): void {
    const { exchange, messages, text } = post;
    const [first] = messages;
    if (post.batch || first === undefined) {
      return refuse(exchange, batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'), null);
    }
    // There is no session with a question that this answer could be for.
    if (first.kind !== 'request' && first.kind !== 'notification') return exchange.respond(202, []);
    const admission = this.#requests.takePlace(exchange, first);
    if (admission === undefined) return;
    const version = versionOf(exchange, first.message);
    const message = { caller: exchange, text, message: first, version, admission };
    const call = new SessionlessCall(message, new HttpResponse(exchange, this.#responses), this.#given);
    const close = (): void => this.#requests.close(call);
    guarded(exchange, () => this.#requests.serve(call, this.#steps).finally(close));
  }

  async connect(call: SessionlessCall): Promise<Stop> {
    const made = this.#build(call);
    const server = made instanceof Promise ? await made : made;
    const stop = call.stopIfLeft();
    if (stop !== undefined) return stop;
    const transport = new StatelessTransport(call, server, this.#given);
    call.transport = transport;
    call.caller.onClose(() => transport.close());
    await this.#given.servers.connect(server, transport, undefined);
    return undefined;
  }

  async dispatch(call: SessionlessCall): Promise<Stop> {
    const { transport, rpcRequest: request } = call;
    if (!(transport instanceof StatelessTransport)) return undefined;
    if (request !== undefined) return transport.deliver(this.#given.servers.asked(request));
    void transport.deliver(call.message);
    call.response.done(202);
    await this.#requests.untilHandled(call);
    return 'done';
  }

  /** The hooks and the factory. */
  #build(call: SessionlessCall): MaybePromise<AnyServer> {
    const returned = (): void => {
      call.refuseWith(hookReturned(EARLY));
      this.#requests.close(call);
    };
    return this.#given.servers.hasRun
      ? this.#requests.runs.build(call, () => this.#make(call), returned)
      : this.#make(call);
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

  get running(): number {
    return this.#requests.running;
  }

  /** Ends what runs, each with an error. */
  close(): Promise<void> {
    return this.#requests.closeAll();
  }
}

/** The version that an `initialize` requests, or that its client says it has negotiated. */
function versionOf(exchange: Exchange, { method, params }: RpcRequest | RpcNotification): string {
  const requested = method === 'initialize' ? params?.['protocolVersion'] : undefined;
  return typeof requested === 'string' ? requested : (exchange.header('mcp-protocol-version') ?? '');
}
