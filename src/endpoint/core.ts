/**
 * Wires the parts of an endpoint: caller checks → request checks → eras → sessions → store, with one instance in the
 * deployment. `endpoint.ts` is the public face. Each part exists before another uses it: messages of other instances,
 * and what happens to the lease, reach the parts from `join` on.
 *
 *     opening ──the store is opened, the deployment joined──▶ open        (its end: `session/lifecycle.ts`)
 *        └──failed──▶ opening, after a pause
 *
 * A store that was unreachable at the start is retried without a request, because a load balancer sends no requests to
 * an instance that is not ready. The retries end when the store is open, or when the endpoint has drained or closes.
 * Until then requests that need the store wait for it, as in any other outage.
 */
import type { RequestStateCodec } from '@modelcontextprotocol/server';
import type { Authenticator } from '../http/auth/context.ts';
import { broadcast } from '../session/broadcast.ts';
import { EndpointBus } from './bus.ts';
import { type ForgottenUser, forgetUser } from './forget-user.ts';
import { Notifications } from './notifications.ts';
import { Finder } from '../cluster/finder.ts';
import { Instance, type ServedHere } from '../cluster/instance.ts';
import { OwnerDirectory } from '../cluster/owner-directory.ts';
import type { OrdersTaken } from '../cluster/orders.ts';
import type { ShownEndpoint } from '../dashboard/server/shown-endpoint.ts';
import { OnceLedger } from '../durable/once/ledger.ts';
import { LiveObjects } from '../durable/live/live-objects.ts';
import { States } from '../durable/state/states.ts';
import { SignedMessages } from '../cluster/signed-messages.ts';
import { Restorer } from '../cluster/restorer.ts';
import type { LegacyEra } from '../eras/sessions/legacy-era.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { checkText } from '../base/options/checks.ts';
import { OutageLog } from './outage-log.ts';
import { WatchedStore } from './watched-store.ts';
import { createUserOf } from '../eras/caller-checks.ts';
import { ServedEras } from './served-eras.ts';
import { Shutdown } from './shutdown.ts';
import { createRequestState, type RequestStateOptions } from '../base/protocol/request-state.ts';
import { keysOf } from './request-state-keys.ts';
import { TaskStore } from '../durable/tasks/task-store.ts';
import { type EventParts, EventRequests } from '../durable/events/event-requests.ts';
import { TaskRequests } from '../durable/tasks/task-requests.ts';
import { ServerBuilder } from '../session/server/server-builder.ts';
import { SessionBuilder } from '../session/life/session-builder.ts';
import { currentCall } from '../session/calls/call.ts';
import { callTimeOf } from '../session/calls/call-times.ts';
import type { CallServices } from '../session/calls/call-services.ts';
import { RecentChanges } from '../session/recent-changes.ts';
import { WorkerIds } from '../base/worker-ids.ts';
import { SessionOpener } from '../session/life/session-opener.ts';
import { Lifecycle } from '../session/lifecycle.ts';
import { Registry, type RegistryOptions } from '../session/registry.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import { UNOWNED } from '../stores/store.ts';
import { backoffMs, elapse, type RandomSource, systemRandom } from '../base/system.ts';
import type { EndpointHealth, McpEndpointFactory } from '../base/types.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;
const NOT_OPENED =
  'The session store could not be opened: requests wait up to maxWaitMs, and it is tried again';
const STAYS_AWAY =
  'The session store cannot be opened for longer than maxWaitMs: requests of sessions fail';

export interface CoreOptions
  extends Pick<RegistryOptions, 'durable' | 'held'>, Pick<CallServices, 'authorizer' | 'lists'> {
  readonly factory: McpEndpointFactory;
  /** Each call of the factory is known to return another server. */
  readonly makesNew: boolean;
  readonly options: ResolvedOptions;
  readonly store: EndpointStore;
  /** `by`: who ordered it. The endpoint stops more than its core. */
  drainOrdered(by: string): void;
  readonly random: RandomSource;
  /** How a simulation reaches callbacks. Default: by HTTP. */
  readonly post?: EventParts['post'];
  /** `undefined`: without the option `auth`. */
  readonly authenticator?: Authenticator | undefined;
}

export class Core implements ServedHere, ShownEndpoint {
  readonly lifecycle = new Lifecycle();
  readonly eras: ServedEras;
  readonly ids = new WorkerIds();
  readonly registry: Registry;
  readonly instance: Instance;
  readonly legacy: LegacyEra;
  readonly bus: EndpointBus;
  readonly notifications: Notifications;
  readonly store: EndpointStore;
  readonly shutdown: Shutdown;
  /** `undefined`: without the option `tasks`, and `events`. */
  readonly tasks: TaskRequests | undefined;
  readonly events: EventRequests | undefined;
  readonly once: OnceLedger;
  readonly states: States;
  readonly live: LiveObjects;
  readonly #taskStore: TaskStore;
  readonly orders: OrdersTaken;
  /** A store in this process is never unreachable once it is open, and its lease is never renewed. */
  readonly outage: OutageLog | undefined;
  readonly options: ResolvedOptions;
  readonly #keys: () => Promise<readonly Uint8Array[]>;
  readonly #stops = new AbortController();
  #isOpen = false;
  /** The attempt to open the store that is under way, or the one after this pause. */
  #attempt: Promise<Core> = Promise.resolve(this);
  #failures = 0;
  #staysAway = false;
  #reports: (error: unknown) => boolean = () => false;

  constructor(given: CoreOptions) {
    const { store, random, authenticator, authorizer, lists } = given;
    const time = given.options.timeProvider;
    const userOf = createUserOf(given.options);
    this.store = store;
    const mayBeAway = given.durable || store instanceof WatchedStore;
    this.outage = mayBeAway ? new OutageLog(given.options, store) : undefined;
    const logger = this.outage?.logger ?? given.options.logger;
    const options: ResolvedOptions = (this.options = { ...given.options, logger });
    const instance = (this.instance = instanceOf(given, options));
    const { lifecycle } = this;
    const directory = new OwnerDirectory(options, instance, lifecycle);
    const work = { options, store, random, instance, directory, memory: given.held.requests };
    const tasks = options.tasks === false ? undefined : new TaskRequests(work, options.tasks);
    this.tasks = tasks;
    const events = (this.events = eventsOf({ ...work, post: given.post }));
    this.#taskStore = tasks?.tasks.store ?? new TaskStore(work);
    const once = (this.once = new OnceLedger(work));
    const states = (this.states = new States(work));
    const startTime = callTimeOf(options);
    const { handles } = states;
    const live = (this.live = new LiveObjects({ ...work, handles }));
    const services = { options, authorizer, lists, startTime, once, states, live, tasks };
    const { lease } = instance;
    const registry = new Registry(options, store, {
      ...given,
      lifecycle,
      lease,
      services,
      others: instance,
    });
    this.registry = registry;
    const bus = (this.bus = new EndpointBus({ options, others: instance, lists }));
    this.notifications = new Notifications(registry, instance, logger);
    this.#keys = keysOf(options, store, () => lifecycle.closed);
    const now = (): number => time.now();
    const requestState = requestStateOf({ keys: this.#keys, userOf, now, random });
    const servers = new ServerBuilder({ ...given, options, requestState, instance, events });
    const builder = new SessionBuilder(registry, servers);
    const changes = new RecentChanges();

    const finder = new Finder(registry, directory, new Restorer(registry, builder, changes));
    const opener = new SessionOpener(registry, builder, random, this.ids);
    const reached = { registry, instance, finder, opener, lifecycle, random };
    const served = { options, services, servers, bus, tasks, events, authenticator, userOf };
    const eras = new ServedEras({ ...served, ...reached });
    tasks?.tasks.serveWith(eras.modern);
    const { legacy } = (this.eras = eras);
    this.legacy = legacy;
    live.sendWith(legacy.relay);

    const ignoreBus = bus.subscribe((event) => {
      lists?.changed(event.kind);
      changes.note(event, now());
      broadcast([...registry.values()], event);
    });
    this.shutdown = new Shutdown({ ...work, eras, registry, once, live, tasks, events, ignoreBus });
    this.orders = ordersOf(given, legacy, live);
  }

  /** Opens the store and joins the deployment. At once where the store is open. */
  open(): void {
    if (this.store instanceof WatchedStore) return this.#next(this.#try());
    this.#isOpen = true;
    void this.join();
  }

  /**
   * Takes the lease and opens the mailbox, once the store is open. Requests that need them wait. Synchronous on the
   * memory store. May be called again after it has failed.
   */
  join(): Promise<void> {
    return this.instance.join(this);
  }

  /**
   * Resolves when an attempt to open the store succeeds, and rejects when the next one fails, or with the refusal of an
   * endpoint that makes no more of them. `reports`: the caller reports this error itself, so the log does not need it.
   */
  ready(reports?: (error: unknown) => boolean): Promise<Core> {
    if (reports !== undefined) this.#reports = reports;
    return this.#attempt;
  }

  /** The endpoint is closed. */
  async close(): Promise<void> {
    this.#stops.abort();
    await this.#attempt.catch(() => {});
    await this.shutdown.close();
  }

  #next(attempt: Promise<Core>): void {
    this.#attempt = attempt;
    attempt.catch(() => {});
  }

  async #try(): Promise<Core> {
    try {
      if (this.store instanceof WatchedStore) await this.store.open();
      await this.join();
    } catch (err) {
      this.#failed(err);
      this.#next(this.#tryLater());
      throw err;
    }
    this.#isOpen = true;
    // Before they are needed: the SDK calls a `requestState` invalid that cannot be opened at once.
    this.#keys().catch(() => {});
    this.outage?.end('The session store is open', { attempts: this.#failures + 1 });
    return this;
  }

  async #tryLater(): Promise<Core> {
    const pauseMs = backoffMs(this.#failures - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, systemRandom);
    await elapse(this.options.timeProvider, pauseMs, this.#stops.signal);
    const { refusal } = this.lifecycle;
    if (refusal !== undefined) throw refusal;
    return this.#try();
  }

  #failed(err: unknown): void {
    this.#failures += 1;
    const { logger, maxWaitMs } = this.options;
    // Later attempts fail alike.
    if (this.#failures > 1) logger.debug({ err }, 'The session store could not be opened yet');
    else this.outage?.begin(err, NOT_OPENED, this.#reports(err) ? 'debug' : 'warn');
    if (this.#staysAway || (this.outage?.lastedMs ?? 0) < maxWaitMs || this.lifecycle.closed)
      return;
    this.#staysAway = true;
    logger.fatal({ err, maxWaitMs }, STAYS_AWAY);
  }

  /** Throws `STORE_UNAVAILABLE`. */
  async forgetUser(userKey: string): Promise<ForgottenUser> {
    checkText('userKey', userKey, /./s, 'the key of a user, as session.userKey');
    await this.ready();
    const { store, states, legacy } = this;
    const [tasks, here] = [this.#taskStore, this.tasks?.tasks];
    const cancelled = { status: 'cancelled' } as const;
    return forgetUser(userKey, {
      store,
      states,
      now: () => this.options.timeProvider.now(),
      ends: {
        session: (id) => legacy.terminate(id),
        subscription: async (id) =>
          this.events?.end(id) ?? (await store.subscriptions.end(id, UNOWNED, '', 0)) === 'ended',
        task: async (id) =>
          here?.end(id, cancelled) ?? (await tasks.end(id, cancelled)) !== undefined,
      },
    });
  }

  health(): EndpointHealth {
    const { state } = this.lifecycle;
    if (!this.#isOpen)
      return { ready: false, state, store: 'unavailable', instance: '', sessions: 0 };
    const { lease, notReady } = this.instance;
    const { store } = this;
    const broken = store instanceof WatchedStore ? store.reason : undefined;
    const reason = broken ?? notReady;
    const isAway = lease.storeUnavailable || store.full?.() === true || broken !== undefined;
    return {
      ready: state === 'serving' && lease.valid && !isAway && reason === undefined,
      state: state === 'serving' && !lease.valid ? 'lapsed' : state,
      store: isAway ? 'unavailable' : 'ok',
      instance: lease.id,
      sessions: this.registry.count,
      ...(reason !== undefined && { reason }),
    };
  }
}

/** `undefined`: without the option `events`. */
const eventsOf = (work: EventParts): EventRequests | undefined =>
  work.options.events === false ? undefined : new EventRequests(work, work.options.events);

/** The instance of this endpoint in its deployment. */
function instanceOf({ store, durable, random }: CoreOptions, options: ResolvedOptions): Instance {
  const { timeProvider: time, leaseMs, maxWaitMs, logger, notices, deployment } = options;
  const inProcess = !durable;
  const directory = store.instances;
  const messages = inProcess ? directory : new SignedMessages(store, options);
  return new Instance({
    directory,
    messages,
    inProcess,
    deployment,
    leaseMs,
    maxWaitMs,
    random,
    time,
    logger,
    notices,
  });
}

const requestStateOf = (given: Omit<RequestStateOptions, 'target' | 'ofTask'>): RequestStateCodec =>
  createRequestState({
    ...given,
    target: () => currentCall.getStore()?.target,
    ofTask: () => currentCall.getStore()?.task?.taskId !== undefined,
  });

const ordersOf = (
  { drainOrdered }: Pick<CoreOptions, 'drainOrdered'>,
  legacy: LegacyEra,
  live: LiveObjects,
): OrdersTaken => ({
  drain: drainOrdered,
  end: (id) => legacy.terminate(id),
  close: (handle) => live.closeOne(handle),
});
