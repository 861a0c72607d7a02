/**
 * A store that is opened after the endpoint begins to serve. Until it is open, its calls fail as those of a store that
 * is away, so that requests which need it wait as in any other outage. `secret` waits itself, because the SDK calls a
 * `requestState` invalid that cannot be opened.
 */
import { storeAway } from '../errors.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { EventStore, InstanceStore, MaybePromise, OpenStore, SessionStore, Store } from '../stores/store.ts';
import { openViews, type StoreViews } from './store-views.ts';

/** `sessions` and `events` are read anew for each call: they throw until the store is open. */
export class LateStore implements OpenStore {
  readonly instances: InstanceStore = {
    announce: (...given) => this.#open.instances.announce(...given),
    renew: (...given) => this.#open.instances.renew(...given),
    read: (...given) => this.#open.instances.read(...given),
    list: () => this.#open.instances.list(),
    send: (...given) => this.#open.instances.send(...given),
    bury: (...given) => this.#open.instances.bury(...given),
    leave: (...given) => this.#open.instances.leave(...given),
    publish: (...given) => this.#open.instances.publish(...given),
  };
  #store: OpenStore | undefined;
  readonly #opened: Promise<OpenStore>;
  #resolve!: (store: OpenStore) => void;
  #reject!: (cause: unknown) => void;

  constructor() {
    this.#opened = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#opened.catch(() => {});
  }

  opened(store: OpenStore): void {
    this.#store = store;
    // No call of an open store passes through this file.
    const { instances } = store;
    for (const name of Object.keys(this.instances) as (keyof InstanceStore)[])
      Object.defineProperty(this.instances, name, { value: (instances[name] as () => unknown).bind(instances) });
    Object.defineProperties(this, { sessions: { value: store.sessions }, events: { value: store.events } });
    this.#resolve(store);
  }

  get isOpen(): boolean {
    return this.#store !== undefined;
  }

  get sessions(): SessionStore {
    return this.#open.sessions;
  }

  get events(): EventStore {
    return this.#open.events;
  }

  secret(name: string, keepMs?: number): MaybePromise<Uint8Array> {
    if (this.#store !== undefined) return this.#store.secret(name, keepMs);
    return this.#opened.then((store) => store.secret(name, keepMs));
  }

  full(): boolean {
    return this.#store?.full?.() === true;
  }

  async close(): Promise<void> {
    this.#reject(storeAway('it is closed'));
    await this.#store?.close();
  }

  get #open(): OpenStore {
    if (this.#store === undefined) throw storeAway('it is not open yet');
    return this.#store;
  }
}

/** The views of a store that opens later. */
export class LateViews implements StoreViews {
  readonly sessions = new LateStore();
  readonly calls: LateStore | undefined;
  readonly #given: readonly [Store, ResolvedOptions];
  #first: Promise<StoreViews> | undefined;

  /** `first`: the first attempt, which is under way. */
  constructor(store: Store, options: ResolvedOptions, first: Promise<StoreViews>) {
    this.#given = [store, options];
    this.#first = first;
    this.calls = options.resumeModernCalls ? new LateStore() : undefined;
  }

  /** Opens them if they are not open. Rejects when that fails; then it may be called again. */
  async open(): Promise<void> {
    if (this.sessions.isOpen) return;
    const views = this.#first ?? openViews(...this.#given);
    this.#first = undefined;
    const { sessions, calls } = await views;
    if (calls !== undefined) this.calls?.opened(calls);
    this.sessions.opened(sessions);
  }
}
