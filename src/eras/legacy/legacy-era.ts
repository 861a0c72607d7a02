/**
 * The 2025 era with sessions (2025-03-26 to 2025-11-25, streamable HTTP): POST, GET, DELETE of one session, wherever it
 * lives. Order of checks after the door: session id → lookup → user → version of the session (`router.ts`), then those of a
 * POST (`legacy-posts.ts`).
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Finder } from '../../cluster/finder.ts';
import type { Instance } from '../../cluster/instance.ts';
import { batchNotAllowed, lapsed, ownerLost, sessionIdMissing, SojournError } from '../../errors.ts';
import { JSON_HEADERS, refuse } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { HeldHeads } from '../../http/held-heads.ts';
import type { KeepAlive } from '../../http/keep-alive.ts';
import { SSE_HEADERS } from '../../http/sse.ts';
import { SseSink } from '../../http/sse-sink.ts';
import { checkMessage, type RpcRequest } from '../../protocol/jsonrpc.ts';
import { relayedFields } from '../../options/header-names.ts';
import type { ResolvedOptions } from '../../options/options.ts';
import type { Opener } from '../../session/session-opener.ts';
import type { Registry } from '../../session/registry.ts';
import type { LiveSession } from '../../session/session.ts';
import type { RandomSource } from '../../options/system.ts';
import { ContinuedExchange } from '../../relay/continued-exchange.ts';
import type { CallEnvelope } from '../../relay/envelope.ts';
import { echo, type InboundPost } from '../../relay/call.ts';
import { serveGet } from './get.ts';
import { LegacyPosts } from './posts.ts';
import { type LegacyCall, Relay } from '../../relay/relay.ts';
import type { RelayedExchange } from '../../relay/relayed-exchange.ts';
import { SessionRouter } from './router.ts';

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
  readonly #posts: LegacyPosts;
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
      isRelayed: relayedFields(options.relayedHeaders, options.credentialHeaders),
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
    this.#posts = new LegacyPosts({
      options,
      registry,
      router: this.#router,
      sse: (exchange) => this.#sseSink(exchange),
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
    if (post !== undefined) this.#posts.serve(session, post, again, echoed);
    else if (kind === 'delete') void this.#router.during(exchange, () => this.#serveDelete(session, exchange, again));
    else {
      const served = serveGet(session, exchange, this.#options, (to) => this.#sseSink(to));
      void served.catch((cause: unknown) => {
        // What the log does not have may have gone with the session while it was read: ended, or somebody else's.
        const stays = this.#registry.get(session.id) === session && this.#instance.valid;
        if (stays || !isEventUnknown(cause)) this.#router.fail(exchange, cause, null);
        else void this.#router.find(session.id, { kind, exchange, again }, null);
      });
    }
  }

  async #open(post: InboundPost, message: RpcRequest): Promise<void> {
    const { exchange } = post;
    try {
      if (!this.#instance.valid) throw lapsed();
      if (this.#opener.draining && exchange.handedOver === undefined) {
        const call: LegacyCall = { kind: 'post', exchange, post, again: false };
        for (const other of await this.#instance.othersServing()) {
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

  #sseSink(exchange: Exchange): SseSink {
    return new SseSink(exchange, SSE_HEADERS, {
      keepAlive: this.#keepAlive,
      bufferBytes: this.#options.limits.streamBufferBytes,
      heldHeads: this.#heldHeads,
    });
  }

  // ——— DELETE ———

  async #serveDelete(session: LiveSession, exchange: Exchange, again: boolean): Promise<void> {
    if (await this.#registry.end(session, 'deleted')) exchange.respond(200, []);
    else await this.#router.find(session.id, { kind: 'delete', exchange, again }, null);
  }

  /** The end of a session that may live anywhere; `false`: there is nothing to end. */
  async terminate(id: string): Promise<boolean> {
    const live = this.#registry.get(id);
    if (live !== undefined && (await this.#registry.end(live, 'terminated'))) return true;
    return this.#finder.terminate(id);
  }
}

function isEventUnknown(cause: unknown): boolean {
  return cause instanceof SojournError && cause.code === 'EVENT_UNKNOWN';
}
