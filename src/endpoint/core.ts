/**
 * Wires the parts of an endpoint: caller checks → request checks → eras → sessions → store, with one instance in the
 * deployment. The store may be opened later; `endpoint.ts` is the public face. Each part exists before another uses it:
 * messages of other instances, and what happens to the lease, reach the parts from `join` on.
 *
 * Its states are those of `session/lifecycle.ts`.
 */
import type { Authenticator } from '../auth/context.ts';
import { broadcast } from '../session/broadcast.ts';
import { EndpointBus } from './bus.ts';
import { Notifications } from './notifications.ts';
import { Finder } from '../cluster/finder.ts';
import { Instance, type ServedHere } from '../cluster/instance.ts';
import type { OrdersTaken } from '../cluster/orders.ts';
import { OnceLedger } from '../once/ledger.ts';
import { SignedMessages } from '../cluster/signed-messages.ts';
import { Restorer } from '../cluster/restorer.ts';
import type { LegacyEra } from '../eras/legacy/legacy-era.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { createEras } from './eras.ts';
import { createOutage, type Outage } from './outage.ts';
import { WatchedStore } from './watched-store.ts';
import { CallerChecks } from './caller-checks.ts';
import { Shutdown } from './shutdown.ts';
import { EndpointTaskParts } from './task-parts.ts';
import { createRequestState, type RequestStateKey } from '../protocol/request-state.ts';
import { dailyKeys } from './request-state-keys.ts';
import { ServerBuilder } from '../session/server/server-builder.ts';
import { SessionBuilder } from '../session/server/session-builder.ts';
import { currentCall } from '../session/calls/call.ts';
import { callTimesOf } from '../session/calls/call-times.ts';
import type { CallServices } from '../session/session-host.ts';
import { RecentListChanges } from '../session/streams/pending-list-changes.ts';
import { SessionOpener } from '../session/life/session-opener.ts';
import { Registry, type RegistryOptions } from '../session/registry.ts';
import { whileAway } from '../session/record/pause.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { RandomSource } from '../base/system.ts';
import type { EndpointHealth, McpEndpointFactory } from '../types.ts';
import type { UserOf } from './caller-checks.ts';

export interface CoreOptions
  extends Pick<RegistryOptions, 'durable' | 'held' | 'lifecycle'>, Pick<CallServices, 'authorizer' | 'lists'> {
  readonly factory: McpEndpointFactory;
  /** Each call of the factory is known to return another server. */
  readonly makesNew: boolean;
  readonly options: ResolvedOptions;
  readonly store: EndpointStore;
  /** The store passes messages between instances as objects within this process. */
  readonly inProcess: boolean;
  readonly endpoint: OrderedEndpoint;
  readonly random: RandomSource;
  readonly userOf: UserOf;
  /** `undefined`: without the option `auth`. */
  readonly authenticator?: Authenticator | undefined;
}

/** The endpoint, which stops more than its core. */
interface OrderedEndpoint {
  /** `by`: who ordered it. */
  drainOrdered(by: string): void;
}

export class Core implements ServedHere {
  readonly callerChecks: CallerChecks;
  readonly registry: Registry;
  readonly instance: Instance;
  readonly legacy: LegacyEra;
  readonly bus: EndpointBus;
  readonly notifications: Notifications;
  readonly store: EndpointStore;
  readonly shutdown: Shutdown;
  /** `undefined`: without the option `tasks`. */
  readonly tasks: EndpointTaskParts | undefined;
  readonly once: OnceLedger;
  readonly orders: OrdersTaken = {
    drain: (by) => this.#endpoint.drainOrdered(by),
    end: (id) => this.legacy.terminate(id),
  };
  readonly #endpoint: OrderedEndpoint;
  /** A store in this process is never unreachable, and its lease is never renewed. */
  readonly outage: Outage | undefined;
  readonly #keys: () => Promise<readonly RequestStateKey[]>;

  constructor(given: CoreOptions) {
    const { store, inProcess, random, userOf, authenticator, lists, lifecycle } = given;
    const { timeProvider: time, leaseMs, waitMs, requestStateKeys, notices } = given.options;
    this.store = store;
    this.outage = inProcess ? undefined : createOutage(given.options.logger, time, store, notices);
    const logger = this.outage?.logger ?? given.options.logger;
    const options: ResolvedOptions = { ...given.options, logger };
    const directory = inProcess ? store.instances : new SignedMessages(store, options);
    const instance = new Instance({ directory, inProcess, leaseMs, waitMs, random, time, logger, notices });
    const work = { options, store, random, instance, memory: given.held.requests };
    const tasks = options.tasks === false ? undefined : new EndpointTaskParts(work);
    const once = new OnceLedger(work);
    const sharesStore = !inProcess;
    const callTimes = callTimesOf(options);
    const services = { options, authorizer: given.authorizer, lists, callTimes, once, launcher: tasks?.launcher };
    const registry = new Registry(options, store, { ...given, sharesStore, lease: instance.lease, services });
    const bus = new EndpointBus({ options, others: instance, lists });
    const daily = dailyKeys(store, time.now);
    // The SDK tells the client of a request whose keys cannot be read that its state is invalid, for good.
    const inWait = () => whileAway({ time, waitMs, stopped: () => lifecycle.closed }, daily);
    this.#keys = requestStateKeys === undefined ? inWait : async () => requestStateKeys;
    const requestState = createRequestState({
      keys: this.#keys,
      userOf,
      target: () => currentCall.getStore()?.target,
      ofTask: () => currentCall.getStore()?.task?.isTask === true,
      now: () => time.now(),
      random,
    });
    const servers = new ServerBuilder({ ...given, options, requestState });
    const builder = new SessionBuilder(registry, servers);
    const listChanges = new RecentListChanges();
    const finder = new Finder(registry, instance, new Restorer(registry, builder, listChanges));
    const opener = new SessionOpener(registry, builder, random);
    const eras = createEras({ registry, instance, finder, opener, servers, builder, bus, random, tasks });
    const { sse, checks } = eras;
    this.callerChecks = new CallerChecks({ options, lifecycle, authenticator, userOf, checks, sse });
    const ignoreBus = bus.subscribe((event) => {
      lists?.changed(event.kind);
      listChanges.note(event, time.now());
      broadcast([...registry.values(), ...(sse?.sessions() ?? [])], event);
    });
    this.shutdown = new Shutdown({ ...eras, registry, instance, once, tasks, ignoreBus });
    this.tasks = tasks;
    this.registry = registry;
    this.instance = instance;
    this.legacy = eras.legacy;
    this.bus = bus;
    this.notifications = new Notifications(registry, instance, logger);
    this.once = once;
    this.#endpoint = given.endpoint;
  }

  /**
   * Takes the lease and opens the mailbox, once the store is open. Requests that need them wait. Synchronous on the
   * memory store. May be called again after it has failed.
   */
  join(): Promise<void> {
    return this.instance.join(this);
  }

  /** Loads keys before they are needed: the SDK calls a `requestState` invalid that cannot be opened at once. */
  prepare(): void {
    this.#keys().catch(() => {});
  }

  health(): EndpointHealth {
    const { lease, notReady } = this.instance;
    const { store } = this;
    const reason = (store instanceof WatchedStore ? store.reason : undefined) ?? notReady;
    const { state } = this.registry.lifecycle;
    const isAway = lease.storeAway || store.full?.() === true;
    return {
      ready: state === 'serving' && lease.valid && !isAway && reason === undefined,
      state: state === 'serving' && !lease.valid ? 'lapsed' : state,
      store: isAway ? 'away' : 'ok',
      instance: lease.id,
      sessions: this.registry.count,
      ...(reason !== undefined && { reason }),
    };
  }
}
