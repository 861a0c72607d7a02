/**
 * Wires the parts of an endpoint: caller checks → request checks → eras → sessions → store, with one instance in the
 * deployment. The store may be opened later; `endpoint.ts` is the public face.
 *
 * Its states are those of `session/lifecycle.ts`.
 */
import type { Authenticator } from '../auth/context.ts';
import { broadcast } from '../session/broadcast.ts';
import { FleetBus, LocalBus } from './bus.ts';
import { Finder } from '../cluster/finder.ts';
import { Instance } from '../cluster/instance.ts';
import { signedDirectory } from '../cluster/signed-messages.ts';
import { Restorer } from '../cluster/restorer.ts';
import type { LegacyEra } from '../eras/legacy/legacy-era.ts';
import type { MemoryUse, SlowReaders } from '../http/slow-readers.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { createEras } from './eras.ts';
import { Outage } from './outage.ts';
import { StoreHealth } from './store-health.ts';
import { CallerChecks } from './caller-checks.ts';
import { Shutdown } from './shutdown.ts';
import { createRequestState, type RequestStateKey } from '../protocol/request-state.ts';
import { dailyKeys } from './request-state-keys.ts';
import type { Authorizer } from '../session/calls/authorizer.ts';
import { ServerBuilder } from '../session/server/server-builder.ts';
import { SessionBuilder } from '../session/server/session-builder.ts';
import { contexts } from '../session/calls/context.ts';
import { inTime } from '../session/life/grace.ts';
import type { Lifecycle } from '../session/lifecycle.ts';
import { RecentListChanges } from '../session/server/recent-list-changes.ts';
import { Patience } from '../session/ownership/patience.ts';
import { SessionOpener } from '../session/life/session-opener.ts';
import { Registry } from '../session/registry.ts';
import type { SharedLists } from '../session/server/shared-lists.ts';
import type { OpenStore } from '../stores/store.ts';
import type { RandomSource } from '../options/system.ts';
import type { EndpointHealth, McpEndpointFactory } from '../types.ts';
import type { UserOf } from './user.ts';

export interface CoreOptions {
  readonly factory: McpEndpointFactory;
  /** Each call of the factory is known to return another server. */
  readonly makesNew: boolean;
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
  readonly memory: MemoryUse;
  readonly slowReaders: Pick<SlowReaders, 'cutStalled'>;
  readonly lifecycle: Lifecycle;
}

export class Core {
  readonly callerChecks: CallerChecks;
  readonly registry: Registry;
  readonly instance: Instance;
  readonly legacy: LegacyEra;
  readonly bus: FleetBus | LocalBus;
  readonly store: OpenStore;
  readonly shutdown: Shutdown;
  readonly #patience: Patience;
  readonly #keys: () => Promise<readonly RequestStateKey[]>;
  readonly #fleet: FleetBus;
  readonly #lifecycle: Lifecycle;
  readonly #storeHealth: StoreHealth;

  constructor({
    factory,
    makesNew,
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
    memory,
    slowReaders,
    lifecycle,
  }: CoreOptions) {
    // A store in this process is never unreachable, and its lease is never renewed.
    const outage = inProcess ? undefined : new Outage(given.logger, given.timeProvider, () => this.#storeFailed());
    const logger = outage?.logger ?? given.logger;
    const options: ResolvedOptions = { ...given, logger };
    this.#lifecycle = lifecycle;
    this.#storeHealth = new StoreHealth(store, options.timeProvider);
    this.store = store;
    this.instance = new Instance({
      directory: inProcess ? store.instances : signedDirectory(store, options),
      inProcess,
      leaseMs: options.leaseMs,
      waitMs: options.waitMs,
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
        storeReachable: (wasAway) => {
          if (store.full?.() !== true) outage?.renewed(wasAway);
        },
        cutOff: () => {
          this.registry.letResume();
          this.legacy.letResume();
        },
      },
    });
    this.registry = new Registry(options, store, {
      guarded: !inProcess,
      durable,
      authorizer,
      lists,
      memory,
      valid: () => this.instance.valid,
      owner: () => this.instance.owner,
      takenOver: () => this.instance.check(),
      lifecycle,
      requestsWait: () => this.#patience.size > 0,
    });
    const listenerThrew = (err: Error): void => logger.error({ err }, 'A listener of the bus threw');
    const fleet = new FleetBus((event) => this.instance.publish(event), listenerThrew);
    this.bus = options.bus === undefined ? fleet : new LocalBus(options.bus, listenerThrew);
    const { requestStateKeys } = options;
    const daily = dailyKeys(store, options.timeProvider.now);
    this.#keys = requestStateKeys === undefined ? () => this.#inWait(daily(), options) : async () => requestStateKeys;
    const requestState = createRequestState({
      keys: this.#keys,
      userOf,
      target: () => contexts.getStore()?.target,
      now: () => options.timeProvider.now(),
      random,
    });
    const servers = new ServerBuilder({ factory, makesNew, options, logger, requestState, authorizer });
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
    const eras = createEras({
      options,
      registry,
      instance,
      finder,
      opener,
      servers,
      builder,
      patience,
      bus: this.bus,
      calls,
      authorizer,
      lists,
      memory,
      slowReaders,
      random,
      lifecycle,
    });
    const { sse, checks } = eras;
    this.legacy = eras.legacy;
    this.callerChecks = new CallerChecks({ options, lifecycle, authenticator, userOf, checks, sse });
    const unsubscribe = this.bus.subscribe((event) => {
      lists?.changed(event.kind);
      listChanges.note(event, options.timeProvider.now());
      broadcast([...this.registry.values(), ...(sse?.sessions() ?? [])], event);
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
      ...eras,
      ignoreBus: unsubscribe,
    });
  }

  /** What a request waits for until the store is open. */
  async #inWait<T>(read: Promise<T>, { timeProvider, waitMs }: ResolvedOptions): Promise<T> {
    if (!this.instance.joined && !(await inTime(timeProvider, read, waitMs))) throw this.instance.missing;
    return read;
  }

  /**
   * Takes the lease and opens the mailbox, once the store is open. Requests that need them wait. Synchronous on the
   * memory store. May be called again after it has failed.
   */
  join(): Promise<void> {
    return this.instance.join();
  }

  /** Loads keys before they are needed: the SDK calls a `requestState` invalid that cannot be opened at once. */
  prepare(): void {
    this.#keys().catch(() => {});
  }

  #storeFailed(): void {
    if (this.instance.joined) this.#storeHealth.watch();
  }

  health(): EndpointHealth {
    const { id, valid, storeAway, notReady } = this.instance;
    const reason = this.#storeHealth.reason ?? notReady;
    const { state } = this.#lifecycle;
    return {
      state: state === 'serving' && !valid ? 'lapsed' : state,
      store: storeAway || this.store.full?.() === true ? 'away' : 'ok',
      instance: id,
      sessions: this.registry.count,
      ...(reason !== undefined && { reason }),
    };
  }
}
