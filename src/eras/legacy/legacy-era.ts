/**
 * The 2025 era with sessions (2025-03-26 to 2025-11-25, streamable HTTP): POST, GET and DELETE of a session on any
 * instance. Order of the checks after `request-checks.ts`: session id → lookup → user → version of the session
 * (`call-loop.ts`), then those of a POST (`posts.ts`).
 */
import type { Finder } from '../../cluster/finder.ts';
import type { Instance } from '../../cluster/instance.ts';
import type { CallItem } from '../../cluster/messages.ts';
import { answerOverLimit, batchNotAllowed, overMemory, ownerLost, sessionIdMissing } from '../../errors.ts';
import { lostForm, refuse } from '../../http/answer.ts';
import { attempt } from '../../http/attempt.ts';
import { BODY_WEIGHT, type Exchange } from '../../http/exchange.ts';
import { HeldHeads } from '../../http/held-heads.ts';
import type { KeepAlive } from '../../http/keep-alive.ts';
import type { RequestGate } from '../../http/request-gate.ts';
import type { StreamExpiry } from '../../http/stream-expiry.ts';
import { SOON_MS } from '../../session/streams/stream-readers.ts';
import { HttpResponse, KEEP_ALIVE_FRAME, pointFrame, SSE_HEADERS } from '../../http/response.ts';
import type { ResponsePolicy } from '../../http/response-policy.ts';
import { checkMessage, type RpcRequest } from '../../protocol/jsonrpc.ts';
import { relayedFields } from '../../options/header-names.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { SessionOpener } from '../../session/life/session-opener.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { Patience } from '../../session/ownership/patience.ts';
import type { Registry } from '../../session/registry.ts';
import type { Replays } from '../../session/streams/replays.ts';
import type { LiveSession } from '../../session/session.ts';
import type { RandomSource } from '../../options/system.ts';
import { ContinuedExchange } from '../../relay/continued-exchange.ts';
import { type Call, type InboundPost, type NextAttempt, postCall, requestIdOf } from '../../relay/call.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { checkTextDepth } from '../json-depth.ts';
import { asksForLostAnswer } from '../modern/lost-answers.ts';
import { parseEventId, resumedId } from '../../session/streams/event-id.ts';
import { hasPriming } from '../../protocol/versions.ts';
import { refuseResume, serveGet } from './get.ts';
import type { EarlyHead } from './waiting-calls.ts';
import { LegacyPosts, type LegacyResponses } from './posts.ts';
import { Relay } from '../../relay/relay.ts';
import type { RelayedExchange } from '../../relay/relayed-exchange.ts';
import { CallLoop } from './call-loop.ts';

export interface LegacyOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly replays: Replays;
  readonly finder: Finder;
  readonly instance: Instance;
  readonly opener: SessionOpener;
  readonly keepAlive: KeepAlive;
  readonly gate: RequestGate;
  readonly expiry: StreamExpiry;
  readonly patience: Patience;
  readonly random: RandomSource;
  readonly lifecycle: Lifecycle;
  /** Serves a relayed GET that asks for what followed on the stream of a 2026-07-28 request. */
  readonly lostAnswer: (exchange: Exchange) => void;
}

export class LegacyEra {
  readonly #options: ResolvedOptions;
  readonly #registry: Registry;
  readonly #replays: Replays;
  readonly #finder: Finder;
  readonly #instance: Instance;
  readonly #opener: SessionOpener;
  readonly #keepAlive: KeepAlive;
  readonly #patience: Patience;
  readonly #lifecycle: Lifecycle;
  readonly #lostAnswer: LegacyOptions['lostAnswer'];
  readonly #responses: LegacyResponses;
  readonly #loop: CallLoop;
  readonly #posts: LegacyPosts;
  readonly #gate: RequestGate;
  readonly relay: Relay;

  constructor(given: LegacyOptions) {
    const { options, registry, finder, instance, opener, keepAlive, expiry, patience, random, lifecycle } = given;
    this.#options = options;
    this.#gate = given.gate;
    this.#registry = registry;
    this.#replays = given.replays;
    this.#finder = finder;
    this.#instance = instance;
    this.#opener = opener;
    this.#keepAlive = keepAlive;
    this.#patience = patience;
    this.#lifecycle = lifecycle;
    this.#lostAnswer = given.lostAnswer;
    const { streamBufferBytes: bufferBytes } = options.limits;
    const handOff = (exchange: Exchange, lastEventId: string): void => this.#handOff(exchange, lastEventId);
    const heldHeads = new HeldHeads(options.timeProvider);
    const get: ResponsePolicy = { form: 'events', keepAlive, bufferBytes, heldHeads, expiry, handOff };
    const resumed = { ...get, largeAsJson: options.responseMode === 'auto' };
    const post = { ...resumed, expiry: undefined };
    this.#responses = { get, resumed, post, json: { ...post, form: 'json' }, batch: { ...post, form: 'batch' } };
    this.relay = new Relay({
      instance,
      logger: options.logger,
      lifecycle,
      notices: options.notices,
      memory: registry.memory,
      bufferBytes: options.limits.streamBufferBytes,
      lostForm: (method) => lostForm(options, method),
      isRelayed: relayedFields(options.relayedHeaders, options.credentialHeaders),
      serve: (envelope, exchange) => this.#relayed(envelope, exchange),
    });
    this.#loop = new CallLoop({
      options,
      registry,
      finder,
      instance,
      relay: this.relay,
      random,
      patience,
      lifecycle,
      serve: (session, call) => this.#serve(session, call),
      openHead: (call) => this.#openHead(call),
      endToResume: (call) => this.#endToResume(call),
      comeBack: (call) => this.#comeBack(call),
    });
    this.#posts = new LegacyPosts({
      options,
      registry,
      gate: given.gate,
      track: (exchange, work) => this.#loop.track(exchange, work),
      responses: this.#responses,
    });
  }

  /** POSTs and DELETEs that no live session counts: opening a session, looking for it, or at another instance. */
  get running(): number {
    return this.#loop.running;
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
        const refusal = this.#gate.count(exchange);
        if (refusal !== undefined) return refuse(exchange, refusal, message.id);
        attempt(exchange, () => this.#loop.track(exchange, () => this.#open(post, message)));
        return;
      }
      return refuse(exchange, sessionIdMissing('POST'), requestIdOf(post));
    }
    this.#loop.run(id, postCall(post, again));
  }

  get(exchange: Exchange): void {
    const refusal = this.#gate.count(exchange);
    if (refusal === undefined) this.#bodiless('get', exchange, false);
    else if (!this.#comeBack({ exchange }) && !refuseResume(exchange, this.#options, answerOverLimit()))
      refuse(exchange, refusal, null);
  }

  delete(exchange: Exchange): void {
    const refusal = this.#gate.count(exchange);
    if (refusal === undefined) this.#bodiless('delete', exchange, false);
    else refuse(exchange, refusal, null);
  }

  #bodiless(kind: 'get' | 'delete', exchange: Exchange, again: boolean): void {
    const id = exchange.header('mcp-session-id');
    if (id === undefined) return refuse(exchange, sessionIdMissing(exchange.method), null);
    this.#loop.run(id, { kind, exchange, requestId: null, again });
  }

  /**
   * Serves a call that another instance relayed: its session lives here, or opens here because that instance drains.
   */
  #relayed({ call, again, text = '' }: CallItem, exchange: RelayedExchange): void {
    if (asksForLostAnswer(exchange)) return this.#lostAnswer(exchange);
    if (call !== 'post') return this.#bodiless(call, exchange, again);
    // Instances of earlier versions do not check the depth.
    const deep = checkTextDepth(text);
    if (deep !== undefined) return refuse(exchange, deep.error, deep.id);
    const body: unknown = JSON.parse(text);
    const batch = Array.isArray(body);
    // The other instance has checked the request. Messages are classified again, because their kinds are not relayed.
    const messages = (batch ? (body as unknown[]) : [body]).map(checkMessage);
    const post = { exchange, messages, batch, text };
    if (!exchange.holds(text.length * BODY_WEIGHT)) return refuse(exchange, overMemory(), requestIdOf(post));
    this.post(post, again);
  }

  #serve(session: LiveSession, call: Call): MaybePromise<NextAttempt> {
    const { kind, exchange, post } = call;
    if (post !== undefined) return this.#posts.serve(session, { ...call, post });
    if (kind === 'delete') return this.#loop.track(exchange, () => this.#serveDelete(session, call));
    return this.#serveGet(session, call);
  }

  /** Sends the head to a GET that waits: its client then reads a stream from the position that it asked for. */
  #openHead(call: Call): EarlyHead {
    const { exchange } = call;
    const kept = { slot: -1, keepAlive: () => exchange.write(KEEP_ALIVE_FRAME) };
    this.#keepAlive.add(kept);
    const stop = (): void => this.#keepAlive.remove(kept);
    // The client has the head already.
    if (exchange instanceof ContinuedExchange) return { call, stop };
    const givenId = exchange.header('last-event-id') || undefined;
    exchange.sessionId = exchange.header('mcp-session-id');
    exchange.openStream(SSE_HEADERS);
    const position = parseEventId(exchange.header('last-event-id') ?? '');
    // The position gets a new id, because some clients count an attempt without a new id as failed.
    const lastEventId = position === undefined ? givenId : resumedId(position);
    const emptyData = hasPriming(exchange.header('mcp-protocol-version') ?? '');
    exchange.write(
      position === undefined ? KEEP_ALIVE_FRAME : pointFrame(resumedId(position), this.#options.retryMs, emptyData),
    );
    return { call: { ...call, exchange: new ContinuedExchange(exchange, lastEventId, true, null) }, stop };
  }

  #endToResume({ exchange }: Call): boolean {
    const lastEventId = exchange instanceof ContinuedExchange ? exchange.lastEventId : undefined;
    const frame = this.#lastFrame(exchange, lastEventId, Math.min(SOON_MS, this.#options.retryMs));
    if (frame === undefined) return false;
    exchange.write(frame);
    exchange.end();
    return true;
  }

  /** Official clients give a stream up after two errors, and come back after a clean end as often as needed. */
  #comeBack({ exchange }: Pick<Call, 'exchange'>): boolean {
    const frame = this.#lastFrame(exchange, exchange.header('last-event-id'), this.#options.retryMs);
    if (frame === undefined) return false;
    exchange.respond(200, SSE_HEADERS, frame);
    return true;
  }

  /** The event before an end after which the client resumes. `undefined`: it cannot resume. */
  #lastFrame(exchange: Exchange, lastEventId: string | undefined, retryMs: number): string | undefined {
    const position = parseEventId(lastEventId ?? '');
    if (position === undefined || !hasPriming(exchange.header('mcp-protocol-version') ?? '')) return undefined;
    return pointFrame(resumedId(position), retryMs, true);
  }

  /** The response of a client that reads here continues with what the next owner of its session sends. */
  #handOff(exchange: Exchange, lastEventId: string): void {
    const id = exchange.header('mcp-session-id');
    if (id === undefined) return exchange.end();
    const to = new ContinuedExchange(exchange, lastEventId, true, null);
    this.#loop.run(id, { kind: 'get', exchange: to, requestId: null, again: true });
  }

  async #serveGet(session: LiveSession, call: Call): Promise<NextAttempt> {
    if (!call.exchange.header('last-event-id')) return this.#sendGet(session, call);
    let head: EarlyHead | undefined;
    const began = this.#replays.begin(session.id, call.exchange, () => (head = this.#openHead(call)));
    const end = began instanceof Promise ? await began : began;
    const next = head?.call ?? call;
    head?.stop();
    try {
      return end === undefined ? undefined : await this.#sendGet(session, next);
    } catch (cause) {
      // The call waits for its store in the response that its client reads.
      if (next === call) throw cause;
      return next;
    } finally {
      end?.();
    }
  }

  async #sendGet(session: LiveSession, call: Call): Promise<NextAttempt> {
    const served = await serveGet(session, call.exchange, {
      options: this.#options,
      open: (exchange) => new HttpResponse(exchange, this.#responses.get),
      stays: () => this.#registry.get(session.id) === session && session.gate.open,
    });
    return served ? undefined : call;
  }

  async #open(post: InboundPost, message: RpcRequest): Promise<void> {
    const { exchange } = post;
    try {
      const { waitMs } = this.#options;
      if (!this.#instance.valid && !(await this.#patience.lease(post.text?.length ?? 0, waitMs, exchange)))
        throw this.#instance.missing;
      if (this.#lifecycle.prefersOthers) {
        // The relaying instance tries the next one.
        if (exchange.relayOrigin !== undefined) return exchange.relayOrigin.refuse();
        const call = postCall(post);
        for (const other of await this.#instance.othersServing()) {
          const outcome = await this.relay.send(other, call);
          if (outcome.relayed === 'done' || exchange.closed) return;
          // The client has the id of a session whose owner crashed, and must initialize again.
          if (outcome.relayed === 'lost' && outcome.opened) {
            const to = new ContinuedExchange(exchange, undefined, false, message.id);
            return this.#loop.fail({ exchange: to, requestId: message.id }, ownerLost(true));
          }
        }
      }
      const opened = await this.#opener.open(message, exchange);
      if (opened === undefined) return;
      const { session, answer } = opened;
      exchange.sessionId = session?.id;
      const json = JSON.stringify(answer);
      const asJson = this.#options.responseMode === 'json';
      if (asJson || session === undefined) {
        const response = new HttpResponse(exchange, asJson ? this.#responses.json : this.#responses.get);
        response.message(json);
        return response.end();
      }
      const stream = session.requests.open([message], false);
      // A stream can be resumed only if its first event is in the log.
      const primed = stream.prime();
      if ((primed instanceof Promise ? await primed : primed) !== 'written') stream.abandonLog();
      session.requests.begin(stream, new HttpResponse(exchange, this.#responses.get));
      session.requests.streams.replyAlone(stream, json);
    } catch (cause) {
      this.#loop.fail({ exchange, requestId: message.id }, cause);
    }
  }

  /** This instance is cut off from the store: ends responses that wait for it and that clients can resume elsewhere. */
  letResume(): void {
    this.#loop.letResume();
  }

  // ——— DELETE ———

  async #serveDelete(session: LiveSession, call: Call): Promise<NextAttempt> {
    if (!(await this.#registry.leaving.end(session, 'deleted'))) return call;
    call.exchange.respond(200, []);
    return undefined;
  }

  /** Ends a session on whichever instance it lives; `false`: there is no such session. */
  async terminate(id: string): Promise<boolean> {
    const live = this.#registry.get(id);
    if (live !== undefined && (await this.#registry.leaving.end(live, 'terminated'))) return true;
    return this.#finder.terminate(id);
  }
}
