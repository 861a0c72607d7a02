/**
 * A store that is opened after the endpoint begins to serve. Until it is open, its calls fail as those of a store that
 * is away, so that requests which need it wait as in any other outage. `secret` waits itself, because the SDK calls a
 * `requestState` invalid that cannot be opened.
 */
import { storeAway } from '../errors.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { InstanceStore, Records, Store } from '../stores/store.ts';
import { openEndpointStore } from './endpoint-store.ts';

type Method = (...given: unknown[]) => unknown;

/**
 * Its members are read anew for each call. Until it is open, its records and the methods of `instances` throw.
 */
export class LateStore implements EndpointStore {
  readonly instances: InstanceStore;
  readonly #given: readonly [Store, ResolvedOptions];
  #first: Promise<EndpointStore> | undefined;
  #store: EndpointStore | undefined;
  #settle!: () => void;
  /** Resolves when it is open, and when it is closed. */
  readonly #settled = new Promise<void>((resolve) => (this.#settle = resolve));

  /** `first`: the first attempt, which is under way. */
  constructor(store: Store, options: ResolvedOptions, first: Promise<EndpointStore>) {
    this.#given = [store, options];
    this.#first = first;
    const opened: ProxyHandler<InstanceStore> = {
      get: (_, name: keyof InstanceStore) => (this.#open.instances[name] as Method).bind(this.#open.instances),
    };
    this.instances = new Proxy({} as InstanceStore, opened);
  }

  /** Opens it if it is not open. Rejects when that fails; then it may be called again. */
  async open(): Promise<void> {
    if (this.#store !== undefined) return;
    const opening = this.#first ?? openEndpointStore(...this.#given);
    this.#first = undefined;
    const store = (this.#store = await opening);
    // No call to an open store passes through this file.
    for (const name of ['calls', 'once', 'tasks', 'steps', 'instances'] as const)
      Object.defineProperty(this, name, { value: store[name] });
    Object.defineProperty(this, 'sessions', { value: store.sessions, writable: true });
    this.#settle();
  }

  get sessions(): Records {
    return this.#open.sessions;
  }

  get calls(): Records {
    return this.#open.calls;
  }

  get once(): Records {
    return this.#open.once;
  }

  get tasks(): Records {
    return this.#open.tasks;
  }

  get steps(): Records {
    return this.#open.steps;
  }

  async secret(name: string, keepMs?: number): Promise<Uint8Array> {
    await this.#settled;
    return this.#open.secret(name, keepMs);
  }

  full(): boolean {
    return this.#store?.full?.() === true;
  }

  async close(): Promise<void> {
    this.#settle();
    await this.#store?.close();
  }

  get #open(): EndpointStore {
    if (this.#store === undefined) throw storeAway('it is not open yet');
    return this.#store;
  }
}
