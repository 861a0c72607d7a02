/**
 * The 2025 era with sessions (2025-03-26 to 2025-11-25, streamable HTTP): POST, GET, DELETE of one session, wherever it
 * lives. Order of checks after the door: session id → lookup → user → version of the session (`router.ts`) → id in flight →
 * running requests → dispatch.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Finder } from '../cluster/finder.ts';
import type { Instance } from '../cluster/instance.ts';
import {
  alreadyInitialized,
  batchNotAllowed,
  lapsed,
  ownerLost,
  requestIdInFlight,
  rpcError,
  sessionIdMissing,
  type SojournError,
  storeAway,
  tooManyRequests,
} from '../errors.ts';
import { JSON_HEADERS, refuse } from '../http/answer.ts';
import type { Exchange } from '../http/exchange.ts';
import { JsonSink } from '../http/json-sink.ts';
import { HeldHeads } from '../http/held-heads.ts';
import type { KeepAlive } from '../http/keep-alive.ts';
import { SSE_HEADERS } from '../http/sse.ts';
import { SseSink } from '../http/sse-sink.ts';
import { type Checked, checkMessage, type RpcRequest } from '../jsonrpc.ts';
import type { ResolvedOptions } from '../options.ts';
import type { Opener } from '../session/opener.ts';
import type { Registry } from '../session/registry.ts';
import { rejoin, runsOrphaned, started, wasMet } from '../session/second-try.ts';
import type { LiveSession } from '../session/session.ts';
import type { Stream } from '../session/stream.ts';
import type { AppendExtra, WriteResult } from '../session/stream-writer.ts';
import type { MessageContext } from '../session/context.ts';
import type { RandomSource } from '../system.ts';
import type { Sink } from '../sink.ts';
import { allowsBatches } from '../versions.ts';
import { ContinuedExchange } from './continued-exchange.ts';
import type { CallEnvelope } from './envelope.ts';
import { echo, type InboundPost } from './inbound.ts';
import { serveGet } from './legacy-get.ts';
import { type LegacyCall, Relay } from './relay.ts';
import type { RelayedExchange } from './relayed-exchange.ts';
import { SessionRouter } from './router.ts';

/** A POST whose request ids are taken. */
interface AdmittedPost {
  readonly post: InboundPost;
  readonly stream: Stream;
  readonly admitted: readonly MessageContext[];
  readonly echoed: RequestId | null;
}

export interface LegacyOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly finder: Finder;
  readonly instance: Instance;
  readonly opener: Opener;
  readonly keepAlive: KeepAlive;
  readonly random: RandomSource;
}

export class LegacyEra {
  readonly #options: ResolvedOptions;
  readonly #registry: Registry;
  readonly #finder: Finder;
  readonly #instance: Instance;
  readonly #opener: Opener;
  readonly #keepAlive: KeepAlive;
  readonly #heldHeads: HeldHeads;
  readonly #router: SessionRouter;
  readonly relay: Relay;

  constructor({ options, registry, finder, instance, opener, keepAlive, random }: LegacyOptions) {
    this.#options = options;
    this.#registry = registry;
    this.#finder = finder;
    this.#instance = instance;
    this.#opener = opener;
    this.#keepAlive = keepAlive;
    this.#heldHeads = new HeldHeads(options.timeProvider);
    this.relay = new Relay({
      instance,
      logger: options.logger,
      bufferBytes: options.limits.streamBufferBytes,
      serve: (envelope, exchange) => this.#relayed(envelope, exchange),
    });
    this.#router = new SessionRouter({
      options,
      registry,
      finder,
      instance,
      relay: this.relay,
      random,
      serve: (session, call, echoed) => this.#serve(session, call, echoed),
    });
  }

  /** POSTs and DELETEs that no live session counts: being opened, looked for, or with another instance. */
  get running(): number {
    return this.#router.running;
  }

  post(post: InboundPost, again = false): void {
    const { exchange } = post;
    const [first] = post.messages;
    const id = exchange.header('mcp-session-id');
    if (id === undefined) {
      if (post.batch)
        return refuse(exchange, batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'), null);
      if (first?.kind === 'request' && first.message.method === 'initialize') {
        const { message } = first;
        void this.#router.during(exchange, () => this.#open(post, message));
        return;
      }
      return refuse(exchange, sessionIdMissing('POST'), echo(post));
    }
    this.#router.route(id, { kind: 'post', exchange, post, again }, echo(post));
  }

  get(exchange: Exchange): void {
    this.#bodiless('get', exchange, false);
  }

  delete(exchange: Exchange): void {
    this.#bodiless('delete', exchange, false);
  }

  #bodiless(kind: 'get' | 'delete', exchange: Exchange, again: boolean): void {
    const id = exchange.header('mcp-session-id');
    if (id === undefined) return refuse(exchange, sessionIdMissing(exchange.method), null);
    this.#router.route(id, { kind, exchange, again }, null);
  }

  /** A call that another instance handed over: its session lives here, or is to be opened here because that one drains. */
  #relayed({ call, again, text = '' }: CallEnvelope, exchange: RelayedExchange): void {
    if (call !== 'post') return this.#bodiless(call, exchange, again);
    const body: unknown = JSON.parse(text);
    const batch = Array.isArray(body);
    // The other instance's door has let it in; messages are looked at again because their kinds are not sent along.
    const messages = (batch ? (body as unknown[]) : [body]).map(checkMessage);
    this.post({ exchange, messages, batch, text }, again);
  }

  #serve(session: LiveSession, { kind, exchange, post, again }: LegacyCall, echoed: RequestId | null): void {
    if (post !== undefined) this.#servePost(session, post, again, echoed);
    else if (kind === 'delete') void this.#router.during(exchange, () => this.#serveDelete(session, exchange));
    else {
      const served = serveGet(session, exchange, this.#options, (to) => this.#sseSink(to));
      void served.catch((cause: unknown) => this.#router.fail(exchange, cause, null));
    }
  }

  // ——— POST ———

  #servePost(session: LiveSession, post: InboundPost, again: boolean, echoed: RequestId | null): void {
    const { exchange, messages } = post;
    if (post.batch && !allowsBatches(session.version)) {
      const error = batchNotAllowed(`batches are not part of protocol revision ${session.version}`);
      return refuse(exchange, error, null);
    }
    const requests = requestsOf(messages);
    if ((again && wasMet(session, requests)) || runsOrphaned(session, requests)) {
      void this.#router.during(exchange, () => this.#goOn(session, post, requests, echoed));
      return;
    }
    const refusal = this.#checkRequests(session, messages);
    if (refusal !== undefined) return refuse(exchange, refusal, echoed);
    if (requests.length === 0) {
      this.#registry.touch(session);
      this.#dispatchSilent(session, exchange, messages);
      // What it changed about the session outlives this instance once it is accepted.
      if (session.record.saving) void this.#router.during(exchange, () => this.#respondSaved(session, exchange));
      else exchange.respond(202, []);
      return;
    }
    const stream = session.openPost(requests.length, this.#options.responseMode === 'json');
    const admitted = requests.map((request) => session.admit(request, exchange, stream));
    const admittedPost: AdmittedPost = { post, stream, admitted, echoed };
    const early = session.mayRunUnprimed(stream, requests);
    if (early !== undefined) return this.#startEarly(session, admittedPost, early);
    const primed = session.prime(stream, requests, admitted);
    if (!(primed instanceof Promise)) return this.#start(session, admittedPost, primed);
    const starting = primed.then(
      (result) => this.#start(session, admittedPost, result),
      (cause: unknown) => this.#router.fail(exchange, cause, echoed),
    );
    for (const context of admitted) context.starting = starting;
  }

  /**
   * What may run twice need not wait for the store: what it says does. So the priming event and an answer that comes at once
   * are stored together (docs/adr/0009).
   */
  #startEarly(session: LiveSession, admittedPost: AdmittedPost, extra: AppendExtra): void {
    const { post, stream, admitted, echoed } = admittedPost;
    const { exchange } = post;
    const sink = this.#sseSink(exchange);
    const primed = (result: WriteResult): void => {
      if (result === 'written') return session.primed(admitted);
      session.withdraw(admitted);
      const unsent = sink.abandon();
      const to = unsent ? exchange : new ContinuedExchange(exchange, undefined, false);
      if (result === 'failed') return refuse(to, storeAway('writing before an answer'), echoed);
      const call = { kind: 'post', exchange: to, post: { ...post, exchange: to }, again: false } as const;
      void this.#router.find(session.id, call, echoed);
    };
    session.beginUnprimed(stream, sink, admitted, extra, primed);
    this.#dispatchAll(session, post, admitted);
  }

  async #respondSaved(session: LiveSession, exchange: Exchange): Promise<void> {
    if (await session.record.saved()) exchange.respond(202, []);
    else refuse(exchange, storeAway('saving what a notification changed'), null);
  }

  /** A call that an earlier try of it began: its answer, or that it is lost, without running it again. */
  async #goOn(
    session: LiveSession,
    post: InboundPost,
    requests: readonly RpcRequest[],
    echoed: RequestId | null,
  ): Promise<void> {
    const { exchange, batch } = post;
    const json = this.#options.responseMode === 'json';
    const open = (): Sink => (json ? new JsonSink(exchange, JSON_HEADERS, batch) : this.#sseSink(exchange));
    try {
      await started(session, requests);
      if (session.left !== undefined) {
        return await this.#router.find(session.id, { kind: 'post', exchange, post, again: true }, echoed);
      }
      // It was refused before it ran.
      if (!wasMet(session, requests)) return this.#servePost(session, post, false, echoed);
      if (await rejoin(session, requests, open)) return;
    } catch (err) {
      this.#options.logger.error({ err, sessionId: session.id }, 'What became of a call could not be read');
    }
    const sink = open();
    for (const { id } of requests) {
      sink.message(JSON.stringify({ jsonrpc: '2.0', id, error: rpcError(ownerLost(true)) }), undefined);
    }
    sink.end();
  }

  /** Everything that must be stored first is stored, or was refused: until here nothing has run, and nothing was sent. */
  #start(session: LiveSession, { post, stream, admitted, echoed }: AdmittedPost, primed: WriteResult): void {
    const { exchange, batch } = post;
    if (primed === 'failed') {
      session.withdraw(admitted);
      return refuse(exchange, storeAway('writing before a call'), echoed);
    }
    if (primed === 'fenced' || session.left !== undefined) {
      // It is somebody else's now, or it has ended: whoever is found next says so.
      if (primed === 'fenced') this.#registry.fenced(session);
      session.withdraw(admitted);
      void this.#router.find(session.id, { kind: 'post', exchange, post, again: false }, echoed);
      return;
    }
    if (exchange.handedOver !== undefined) session.guard?.keep(admitted, exchange.handedOver);
    // Somebody may have come for it again while it was being stored, and reads it now: this exchange is an old one.
    if (stream.read) exchange.destroy();
    else
      session.begin(stream, stream.answersOnly ? new JsonSink(exchange, JSON_HEADERS, batch) : this.#sseSink(exchange));
    this.#dispatchAll(session, post, admitted);
  }

  #dispatchAll(session: LiveSession, { exchange, messages }: InboundPost, admitted: readonly MessageContext[]): void {
    let next = 0;
    for (const checked of messages) {
      if (checked.kind !== 'request') {
        this.#dispatchSilent(session, exchange, [checked]);
        continue;
      }
      const context = admitted[next++];
      if (context !== undefined) session.dispatch(checked.message, context);
    }
  }

  #dispatchSilent(session: LiveSession, exchange: Exchange, messages: readonly Checked[]): void {
    for (const checked of messages) {
      if (checked.kind === 'notification') session.notification(checked.message, exchange);
      else if (checked.kind === 'response') session.response(checked.message, exchange);
    }
  }

  #checkRequests(session: LiveSession, messages: readonly Checked[]): SojournError | undefined {
    let counted = 0;
    for (const checked of messages) {
      if (checked.kind !== 'request') continue;
      const { id, method } = checked.message;
      if (method === 'initialize') return alreadyInitialized();
      if (session.running.get(id) !== undefined) return requestIdInFlight(id);
      if (method !== 'ping') counted += 1;
    }
    const limit = this.#options.limits.requestsPerSession;
    return counted > 0 && session.running.counted + counted > limit ? tooManyRequests(limit) : undefined;
  }

  #sseSink(exchange: Exchange): SseSink {
    return new SseSink(exchange, SSE_HEADERS, {
      keepAlive: this.#keepAlive,
      bufferBytes: this.#options.limits.streamBufferBytes,
      heldHeads: this.#heldHeads,
    });
  }

  async #open(post: InboundPost, message: RpcRequest): Promise<void> {
    const { exchange } = post;
    try {
      if (!this.#instance.valid) throw lapsed();
      if (this.#opener.draining && exchange.handedOver === undefined) {
        const call: LegacyCall = { kind: 'post', exchange, post, again: false };
        for (const other of await this.#instance.allServing()) {
          const outcome = await this.relay.send(other, call);
          if (outcome.relayed === 'done' || exchange.closed) return;
          // The client has the id of a session whose owner is gone, and has to begin anew.
          if (outcome.relayed === 'lost' && outcome.opened)
            return this.#router.fail(new ContinuedExchange(exchange, undefined, false), ownerLost(true), message.id);
        }
      }
      const opened = await this.#opener.open(message, exchange);
      if (opened === undefined) return;
      const { session, answer } = opened;
      exchange.sessionId = session?.id;
      const json = JSON.stringify(answer);
      if (this.#options.responseMode === 'json') {
        exchange.respond(200, JSON_HEADERS, json);
        return;
      }
      if (session === undefined) {
        const sink = this.#sseSink(exchange);
        sink.message(json, undefined);
        sink.end();
        return;
      }
      const stream = session.openPost(1, false);
      // Without its first event in the log it is a stream that cannot be resumed.
      if ((await stream.prime()) !== 'written') stream.abandonLog();
      session.begin(stream, this.#sseSink(exchange));
      stream.send(json, true);
    } catch (cause) {
      this.#router.fail(exchange, cause, message.id);
    }
  }

  // ——— DELETE ———

  async #serveDelete(session: LiveSession, exchange: Exchange): Promise<void> {
    if (await this.#registry.end(session, 'deleted')) exchange.respond(200, []);
    else await this.#router.find(session.id, { kind: 'delete', exchange, again: false }, null);
  }

  /** The end of a session that may live anywhere; `false`: there is nothing to end. */
  async terminate(id: string): Promise<boolean> {
    const live = this.#registry.get(id);
    if (live !== undefined && (await this.#registry.end(live, 'terminated'))) return true;
    return this.#finder.terminate(id);
  }
}

function requestsOf(messages: readonly Checked[]): RpcRequest[] {
  const requests: RpcRequest[] = [];
  for (const checked of messages) if (checked.kind === 'request') requests.push(checked.message);
  return requests;
}
