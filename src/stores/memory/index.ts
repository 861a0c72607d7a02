/**
 * The memory store: all data is in this process, and records are answered at once. One store object serves any number
 * of endpoints. Endpoints of one deployment share records, mailboxes and secrets. Those of other
 * deployments see none of them.
 *
 * The first endpoint of the object opens the shared data; the close of the last one drops it. The first endpoint of a
 * deployment sets the clock and what each kind of records is. The first endpoint of the object sets `eventLogBytes`.
 */
import { openView } from '../kernel/open-view.ts';
import type { KernelRecords } from '../kernel/records.ts';
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { EventBudget } from './event-budget.ts';
import { MemoryMailboxes, type SharedMailboxes } from './mailboxes.ts';
import { MemoryBackend } from './memory-backend.ts';

/** What the endpoints of one deployment share. */
interface Deployment {
  readonly backend: MemoryBackend;
  readonly kernels: Map<string, KernelRecords>;
  readonly mailboxes: SharedMailboxes;
}

class MemoryStore implements Store {
  readonly kind = 'memory';
  readonly durable = false;
  readonly #deployments = new Map<string, Deployment>();
  #views = 0;
  #budget: EventBudget | undefined;

  open(options: StoreOptions): OpenStore {
    const { eventLogBytes } = options;
    const { backend, kernels, mailboxes } = this.#deployment(options);
    this.#views += 1;
    const counted = options.kinds.filter((kind) => kind.counted === true);
    const closed = (): void => {
      this.#views -= 1;
      if (this.#views > 0) return;
      this.#deployments.clear();
      this.#budget = undefined;
    };
    const parts = {
      backend,
      newWrites: () => backend.atOnce,
      mailboxes: () => new MemoryMailboxes(mailboxes),
      room: () => ({ used: backend.keptBytes(counted), size: eventLogBytes }),
      closed,
    };
    return openView(parts, options, kernels);
  }

  #deployment({ deployment: name, time, tombstones, eventLogBytes }: StoreOptions): Deployment {
    const budget = (this.#budget ??= new EventBudget(eventLogBytes));
    let deployment = this.#deployments.get(name);
    if (deployment === undefined) {
      const backend = new MemoryBackend({ time, tombstones, eventLogBytes, budget });
      deployment = { backend, kernels: new Map(), mailboxes: new Map() };
      this.#deployments.set(name, deployment);
    }
    return deployment;
  }
}

/**
 * A store in this process. Its sessions end with the process. Endpoints that should share sessions take the same
 * object.
 */
export const memory = (): Store => new MemoryStore();
