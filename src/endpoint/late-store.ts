/**
 * A store that is opened after the endpoint begins to serve. Until it is open, its calls fail as those of a store that
 * is away, so that requests which need it wait as in any other outage. `secret` waits itself, because the SDK calls a
 * `requestState` invalid that cannot be opened.
 */
import { storeAway } from '../errors.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { EndpointStore } from '../session/record/kinds.ts';
import type { InstanceStore, MaybePromise, Records, Store } from '../stores/store.ts';
import { openEndpointStore } from './endpoint-store.ts';

/** `sessions` and `calls` are read anew for each call. They and the methods of `instances` throw until it is open. */
export class LateStore implements EndpointStore {
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
  readonly #given: readonly [Store, ResolvedOptions];
  #first: Promise<EndpointStore> | undefined;
  #store: EndpointStore | undefined;
  readonly #opened: Promise<EndpointStore>;
  #resolve!: (store: EndpointStore) => void;
  #reject!: (cause: unknown) => void;

  /** `first`: the first attempt, which is under way. */
  constructor(store: Store, options: ResolvedOptions, first: Promise<EndpointStore>) {
    this.#given = [store, options];
    this.#first = first;
    this.#opened = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#opened.catch(() => {});
  }

  /** Opens it if it is not open. Rejects when that fails; then it may be called again. */
  async open(): Promise<void> {
    if (this.#store !== undefined) return;
    const opening = this.#first ?? openEndpointStore(...this.#given);
    this.#first = undefined;
    const store = await opening;
    this.#store = store;
    // No call of an open store passes through this file.
    const { instances } = store;
    for (const name of Object.keys(this.instances) as (keyof InstanceStore)[])
      Object.defineProperty(this.instances, name, { value: (instances[name] as () => unknown).bind(instances) });
    Object.defineProperties(this, { sessions: { value: store.sessions }, calls: { value: store.calls } });
    this.#resolve(store);
  }

  get sessions(): Records {
    return this.#open.sessions;
  }

  get calls(): Records {
    return this.#open.calls;
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

  get #open(): EndpointStore {
    if (this.#store === undefined) throw storeAway('it is not open yet');
    return this.#store;
  }
}
