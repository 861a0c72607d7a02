/**
 * A store that is opened after the endpoint begins to serve. Until it is open, its calls fail as those of a store that
 * is away, so that requests which need it wait as in any other outage. `secret` waits itself, because the SDK calls a
 * `requestState` invalid that cannot be opened.
 */
import { storeAway } from '../errors.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { Store } from '../stores/store.ts';
import { openEndpointStore } from './endpoint-store.ts';

type Method = (...given: unknown[]) => unknown;

const PARTS = ['sessions', 'once', 'tasks', 'steps', 'figures', 'instances'] as const;
type Part = (typeof PARTS)[number];

/** Its members are read anew for each call. Until it is open, the methods of its parts throw. */
export class LateStore implements EndpointStore {
  readonly sessions = this.#part('sessions');
  readonly once = this.#part('once');
  readonly tasks = this.#part('tasks');
  readonly steps = this.#part('steps');
  readonly figures = this.#part('figures');
  readonly instances = this.#part('instances');
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
  }

  #part<P extends Part>(part: P): EndpointStore[P] {
    const opened: ProxyHandler<EndpointStore[P]> = {
      get: (_, name) => (Reflect.get(this.#open[part], name) as Method | undefined)?.bind(this.#open[part]),
    };
    return new Proxy({} as EndpointStore[P], opened);
  }

  /** Opens it if it is not open. Rejects when that fails; then it may be called again. */
  async open(): Promise<void> {
    if (this.#store !== undefined) return;
    const opening = this.#first ?? openEndpointStore(...this.#given);
    this.#first = undefined;
    const store = (this.#store = await opening);
    // No call to an open store passes through this file.
    for (const part of PARTS) Object.assign(this, { [part]: store[part] });
    this.#settle();
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
