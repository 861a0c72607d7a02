/**
 * Wires the parts of an endpoint: request checks → eras → sessions → store, with one instance in the deployment. It is
 * created when the store is open; `endpoint.ts` is the public face.
 *
 * Its states are those of `session/lifecycle.ts`.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { Authenticator } from '../auth/context.ts';
import { broadcast } from '../session/broadcast.ts';
import { FleetBus, LocalBus } from './bus.ts';
import { Finder } from '../cluster/finder.ts';
import { Instance } from '../cluster/instance.ts';
import { signedDirectory } from '../cluster/signed-messages.ts';
import { Restorer } from '../cluster/restorer.ts';
import { RequestChecks } from '../eras/request-checks.ts';
import { LegacyEra } from '../eras/legacy/legacy-era.ts';
import { LegacySseEra, legacySsePath } from '../eras/legacy/sse-era.ts';
import { StatelessEra } from '../eras/legacy/stateless-era.ts';
import { CallRecords } from '../eras/modern/call-records.ts';
import { ModernEra } from '../eras/modern/modern-era.ts';
import { beforeItRan, closedEndpoint, internal, methodNotAllowed, SojournError } from '../errors.ts';
import { asSojournError, refuse, refuseOnSession } from '../http/answer.ts';
import { attempt } from '../http/attempt.ts';
import { type InboundPost, requestIdOf } from '../relay/call.ts';
import type { Exchange } from '../http/exchange.ts';
import { StreamExpiry } from '../http/stream-expiry.ts';
import type { MemoryUse } from '../http/slow-readers.ts';
import { KeepAlive } from '../http/keep-alive.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { RequestLimits } from '../limits/request-limits.ts';
import { Outage } from './outage.ts';
import { Shutdown } from './shutdown.ts';
import { createRequestState, type RequestStateKey } from '../protocol/request-state.ts';
import { dailyKeys } from './request-state-keys.ts';
import type { Authorizer } from '../session/authorizer.ts';
import { ServerBuilder, SessionBuilder } from '../session/builder.ts';
import { contexts } from '../session/context.ts';
import { inHookTime } from '../session/hook-time.ts';
import type { Lifecycle } from '../session/lifecycle.ts';
import { RecentListChanges } from '../session/recent-list-changes.ts';
import { Patience } from '../session/patience.ts';
import { SessionOpener } from '../session/session-opener.ts';
import { Registry } from '../session/registry.ts';
import type { SharedLists } from '../session/shared-lists.ts';
import type { OpenStore } from '../stores/store.ts';
import type { RandomSource } from '../options/system.ts';
import type { EndpointHealth, McpEndpointFactory } from '../types.ts';
import type { SessionEvents } from './sessions.ts';
import type { UserOf } from './user.ts';

export interface CoreOptions {
  readonly factory: McpEndpointFactory;
  readonly options: ResolvedOptions;
  readonly store: OpenStore;
  /** The view for the option `resumeModernCalls`; `undefined`: it is off. */
  readonly calls?: OpenStore | undefined;
  readonly durable: boolean;
  /** The store passes messages between instances as objects within this process. */
  readonly inProcess: boolean;
  readonly random: RandomSource;
  readonly userOf: UserOf;
  /** `undefined`: without the option `auth`. */
  readonly authenticator?: Authenticator | undefined;
  /** `undefined`: without the option `auth.authorize`. */
  readonly authorizer?: Authorizer | undefined;
  /** `undefined`: without the option `sharedLists`. */
  readonly lists?: SharedLists | undefined;
  readonly events: SessionEvents;
  readonly memory: MemoryUse;
  readonly lifecycle: Lifecycle;
}

export class Core {
  readonly registry: Registry;
  readonly instance: Instance;
  readonly legacy: LegacyEra;
  readonly bus: FleetBus | LocalBus;
  readonly store: OpenStore;
  readonly shutdown: Shutdown;
  readonly #options: ResolvedOptions;
  readonly #userOf: UserOf;
  readonly #checks: RequestChecks;
  readonly #authenticator: Authenticator | undefined;
  readonly #modern: ModernEra;
  readonly #stateless: StatelessEra;
  readonly #sse: LegacySseEra | undefined;
  readonly #keepAlive: KeepAlive;
  readonly #patience: Patience;
  readonly #keys: () => Promise<readonly RequestStateKey[]>;
  readonly #fleet: FleetBus;
  readonly #lifecycle: Lifecycle;

  constructor({
    factory,
    options: given,
    store,
    calls,
    durable,
    inProcess,
    random,
    userOf,
    authenticator,
    authorizer,
    lists,
    events,
    memory,
    lifecycle,
  }: CoreOptions) {
    // A store in this process is never unreachable, and its lease is never renewed.
    const outage = inProcess ? undefined : new Outage(given.logger, given.timeProvider);
    const logger = outage?.logger ?? given.logger;
    const options: ResolvedOptions = { ...given, logger };
    this.#lifecycle = lifecycle;
    this.#options = options;
    this.store = store;
    this.#userOf = userOf;
    this.#authenticator = authenticator;
    this.instance = new Instance({
      directory: inProcess ? store.instances : signedDirectory(store, options),
      inProcess,
      leaseMs: options.leaseMs,
      random,
      time: options.timeProvider,
      logger,
      handlers: {
        calls: () => this.legacy.relay,
        valid: () => {
          this.registry.valid();
          this.#patience.wake();
        },
        terminate: (id) => this.legacy.terminate(id),
        bus: (event) => this.#fleet.deliver(event),
        storeReachable: () => {
          if (store.full?.() !== true) outage?.over();
        },
      },
    });
    this.registry = new Registry(
      options,
      store,
      {
        guarded: !inProcess,
        durable,
        authorizer,
        lists,
        memory,
        valid: () => this.instance.valid,
        idSuffixes: () => this.instance.idSuffixes,
        owner: () => this.instance.owner,
        takenOver: () => this.instance.check(),
        lifecycle,
      },
      events,
    );
    const listenerThrew = (err: Error): void => logger.error({ err }, 'A listener of the bus threw');
    const fleet = new FleetBus((event) => this.instance.publish(event), listenerThrew);
    this.bus = options.bus === undefined ? fleet : new LocalBus(options.bus, listenerThrew);
    const { requestStateKeys } = options;
    this.#keys =
      requestStateKeys === undefined ? dailyKeys(store, options.timeProvider.now) : async () => requestStateKeys;
    const requestState = createRequestState({
      keys: this.#keys,
      userOf,
      target: () => contexts.getStore()?.target,
      now: () => options.timeProvider.now(),
      random,
    });
    const servers = new ServerBuilder({ factory, options, logger, requestState, authorizer });
    const builder = new SessionBuilder(this.registry, servers, (session) => {
      if (this.registry.get(session.id) === session) void this.registry.leaving.end(session, 'handler_returned');
      else void session.leave('handler_returned');
    });
    const listChanges = new RecentListChanges();
    const restorer = new Restorer({
      options,
      store,
      registry: this.registry,
      builder,
      listChanges,
      ownerId: () => this.instance.owner,
      lifecycle,
    });
    const { registry, instance } = this;
    const finder = new Finder({ options, store, registry, instance, restorer, lifecycle });
    const opener = new SessionOpener({
      options,
      registry: this.registry,
      store,
      builder,
      ownerId: () => this.instance.owner,
      random,
      lifecycle,
    });
    this.#keepAlive = new KeepAlive(options.timeProvider, options.keepAliveMs);
    const keepAlive = this.#keepAlive;
    const expiry = new StreamExpiry(options.timeProvider);
    const { waitingRequests, waitingBytes } = options.limits;
    const patience = new Patience({
      time: options.timeProvider,
      random,
      places: waitingRequests,
      bytes: waitingBytes,
      lifecycle,
      leaseValid: () => this.instance.valid,
      leaseMissed: () => this.instance.check(),
    });
    this.#patience = patience;
    const gate = new RequestLimits({
      time: options.timeProvider,
      requests: options.limits.requests,
      perUser: options.perUser,
      perTool: options.perTool,
    });
    this.legacy = new LegacyEra({
      options,
      registry: this.registry,
      finder,
      instance: this.instance,
      opener,
      keepAlive,
      gate,
      expiry,
      patience,
      random,
      lifecycle,
      lostAnswer: (exchange) => this.#modern.lostAnswer(exchange),
    });
    this.#stateless = new StatelessEra({ options, servers, keepAlive, gate, authorizer, lists });
    const legacyPost: LegacyEra['post'] =
      options.sessionMode === 'stateless' ? (post) => this.#stateless.post(post) : (post) => this.legacy.post(post);
    this.#modern = new ModernEra({
      options,
      servers,
      bus: this.bus,
      keepAlive,
      gate,
      random,
      expiry,
      authorizer,
      lists,
      lifecycle,
      resuming: calls && {
        records: new CallRecords(calls, options),
        relay: this.legacy.relay,
        instance: this.instance,
        memory,
      },
      legacy: legacyPost,
    });
    this.#checks = new RequestChecks(options, {
      modern: (post, header) => this.#refuses(post) || this.#modern.serve(post, header),
      lostAnswer: (exchange) => this.#modern.lostAnswer(exchange),
      legacyPost: (post) => this.#refuses(post) || legacyPost(post),
      legacyGet: (exchange) => this.legacy.get(exchange),
      legacyDelete: (exchange) =>
        lifecycle.refusal === undefined ? this.legacy.delete(exchange) : refuse(exchange, lifecycle.refusal, null),
    });
    this.#sse = options.legacySse
      ? new LegacySseEra({
          options,
          registry: this.registry,
          builder,
          gate,
          keepAlive,
          expiry,
          ownerId: () => this.instance.owner,
          random,
          lifecycle,
        })
      : undefined;
    const unsubscribe = this.bus.subscribe((event) => {
      lists?.changed(event.kind);
      listChanges.note(event, options.timeProvider.now());
      broadcast([...this.registry.values(), ...(this.#sse?.sessions() ?? [])], event);
    });
    this.#fleet = fleet;
    this.shutdown = new Shutdown({
      options,
      lifecycle,
      store,
      durable,
      instance,
      registry,
      patience,
      keepAlive,
      legacy: this.legacy,
      modern: this.#modern,
      stateless: this.#stateless,
      sse: this.#sse,
      ignoreBus: unsubscribe,
    });
  }

  /** Takes the lease and opens the mailbox. No request is served before. Synchronous on the memory store. */
  join(): Promise<void> {
    return this.instance.join();
  }

  /** Loads keys before they are needed: the SDK calls a `requestState` invalid that cannot be opened at once. */
  prepare(): void {
    this.#keys().catch(() => {});
  }

  /** `allowedHosts`: from the listener, where the option leaves it to the listener's address. */
  handle(exchange: Exchange, allowedHosts = this.#options.allowedHosts): void {
    if (this.#lifecycle.closed) return refuse(exchange, closedEndpoint(), null);
    // A client opens a stream again whose connection is closed; 503 ends some clients for good.
    if (this.#lifecycle.refusal !== undefined && exchange.method === 'GET') return exchange.destroy();
    const refusal = this.#checks.checkGuards(exchange, allowedHosts);
    if (refusal !== undefined) return refuse(exchange, refusal, null);
    if (this.#authenticator === undefined) return this.#enter(exchange);
    const found = this.#authenticator.authenticate(exchange);
    if (!(found instanceof Promise)) return this.#authenticated(exchange, found);
    const hook = { hook: 'the verification of a token', sessionId: undefined };
    const inTime = inHookTime(this.#options, hook, found).catch(asSojournError);
    attempt(exchange, () => inTime.then((info) => this.#authenticated(exchange, info)));
  }

  #authenticated(exchange: Exchange, found: AuthInfo | SojournError): void {
    if (found instanceof SojournError) return refuse(exchange, found, null);
    if (exchange.closed) return;
    if (this.#lifecycle.closed) return refuse(exchange, closedEndpoint(), null);
    exchange.authInfo = found;
    this.#enter(exchange);
  }

  /** The caller is known. */
  #enter(exchange: Exchange): void {
    try {
      exchange.user = this.#userOf(exchange.authInfo);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.#options.logger.error({ err: cause }, `A request is refused, because its user is unknown: ${why}`);
      return refuse(exchange, internal(cause), null);
    }
    const path =
      this.#sse === undefined || this.#lifecycle.refusal !== undefined ? undefined : legacySsePath(exchange.url);
    if (path === undefined || this.#sse === undefined) return this.#checks.enter(exchange);
    if (exchange.method === 'OPTIONS') return refuse(exchange, methodNotAllowed('OPTIONS', 'GET, POST'), null);
    this.#sse.serve(exchange, path);
  }

  /**
   * Refuses what still arrives on open connections after a drain. A request of a session gets an error with its id,
   * because some clients end at a 503.
   */
  #refuses(post: InboundPost): boolean {
    const { refusal } = this.#lifecycle;
    if (refusal !== undefined) refuseOnSession(post.exchange, beforeItRan(refusal), requestIdOf(post));
    return refusal !== undefined;
  }

  health(): EndpointHealth {
    const { id, valid, storeAway } = this.instance;
    const { state } = this.#lifecycle;
    return {
      state: state === 'serving' && !valid ? 'lapsed' : state,
      store: storeAway || this.store.full?.() === true ? 'away' : 'ok',
      instance: id,
      sessions: this.registry.count,
    };
  }
}
