/**
 * The memory store: all data is in this process, and every method answers at once. One store object serves any number
 * of endpoints. Endpoints with the same `name` are one deployment and share records, mailboxes and secrets.
 * Endpoints with other names see none of them.
 *
 * The first endpoint of the object opens the shared data; the close of the last one drops it. The first endpoint of a
 * name sets the clock and what each kind of records is. The first endpoint of the object sets `eventLogBytes`.
 */
import { Instances, LEASES } from '../shared/instances.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import type { Kind, OpenStore, Store, StoreOptions } from '../store.ts';
import { KernelRecords } from '../kernel/records.ts';
import { EventBudget } from './event-budget.ts';
import { MemoryMailboxes, type SharedMailboxes } from './mailboxes.ts';
import { MemoryBackend } from './memory-backend.ts';

/** What the endpoints of one name share. */
class Deployment {
  readonly mailboxes: SharedMailboxes = new Map();
  readonly #backend: MemoryBackend;
  readonly #kinds = new Map<string, KernelRecords>();

  constructor({ time, tombstones, eventLogBytes }: StoreOptions, budget: EventBudget) {
    this.#backend = new MemoryBackend({ time, tombstones, eventLogBytes, budget });
  }

  records(kind: Kind): KernelRecords {
    const known = this.#kinds.get(kind.name);
    if (known !== undefined) return known;
    const backend = this.#backend;
    const made = new KernelRecords({ kind, backend, writes: backend.atOnce, isAlone: true });
    this.#kinds.set(kind.name, made);
    return made;
  }
}

class MemoryStore implements Store {
  readonly kind = 'memory';
  readonly durable = false;
  readonly inProcess = true;
  readonly #deployments = new Map<string, Deployment>();
  readonly #views = new Set<OpenStore>();
  #budget: EventBudget | undefined;

  open(options: StoreOptions): OpenStore {
    const budget = (this.#budget ??= new EventBudget(options.eventLogBytes));
    let deployment = this.#deployments.get(options.name);
    if (deployment === undefined) {
      deployment = new Deployment(options, budget);
      this.#deployments.set(options.name, deployment);
    }
    return this.#view(deployment, options);
  }

  #view(deployment: Deployment, { logger, random, eventLogBytes }: StoreOptions): OpenStore {
    const mailboxes = new MemoryMailboxes(deployment.mailboxes);
    // An owner and every instance that could claim its sessions live in this process, so no lease expires.
    const instances = new Instances({ records: deployment.records(LEASES), mailboxes, leaseMs: null, logger });
    const secrets = new Secrets(deployment.records(SECRETS), random);
    const view: OpenStore = {
      records: (kind) => deployment.records(kind),
      instances,
      secret: (name, keepMs) => secrets.get(name, keepMs),
      room: () => ({ size: eventLogBytes }),
      close: async () => {
        const left = instances.close();
        this.#views.delete(view);
        if (this.#views.size === 0) {
          this.#deployments.clear();
          this.#budget = undefined;
        }
        await left;
      },
    };
    this.#views.add(view);
    return view;
  }
}

/**
 * A store in this process. Its sessions end with the process. Endpoints that should share sessions take the same
 * object.
 */
export function memory(): Store {
  return new MemoryStore();
}
