/**
 * The memory store: all data is in this process, and every method answers at once. One store object serves any number
 * of endpoints. Endpoints with the same `name` are one deployment and share records, mailboxes and secrets.
 * Endpoints with other names see none of them.
 *
 * The first endpoint of the object opens the shared data; the close of the last one drops it. The first endpoint of a
 * name sets the clock and what each kind of records is. The first endpoint of the object sets `eventLogBytes`.
 */
import { Instances, LEASES } from '../shared/instances.ts';
import { checkedKind } from '../shared/kinds.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import type { Kind, OpenStore, Store, StoreOptions, StoreRoom } from '../store.ts';
import { freeOf, LastingTombstones } from './lasting-tombstones.ts';
import { MemoryMailboxes, type SharedMailboxes } from './mailboxes.ts';
import { EventBudget, RetainedLogs } from './retained-logs.ts';
import { MemoryRecordTable } from './record-table.ts';
import { MemoryRecords } from './records.ts';
import { Tombstones } from './tombstones.ts';

/** What the endpoints of one name share. */
class Deployment {
  readonly mailboxes: SharedMailboxes = new Map();
  readonly #kinds = new Map<string, MemoryRecords>();
  readonly #lasting: LastingTombstones[] = [];
  readonly #options: StoreOptions;
  readonly #budget: EventBudget;

  constructor(options: StoreOptions, budget: EventBudget) {
    this.#options = options;
    this.#budget = budget;
  }

  records(kind: Kind): MemoryRecords {
    const known = this.#kinds.get(kind.name);
    if (known !== undefined) return known;
    const { time, tombstones, eventLogBytes } = this.#options;
    const ends =
      kind.evicts === false
        ? new LastingTombstones(kind.name, tombstones, eventLogBytes)
        : new Tombstones(tombstones, eventLogBytes);
    if (ends instanceof LastingTombstones) this.#lasting.push(ends);
    const table = new MemoryRecordTable(checkedKind(kind), time, ends);
    const made = new MemoryRecords(table, kind.log === false ? undefined : new RetainedLogs(kind.log, this.#budget));
    this.#kinds.set(kind.name, made);
    return made;
  }

  /** That of the kind which has least. */
  room(): StoreRoom | undefined {
    const rooms = this.#lasting.map(({ room }) => room);
    return rooms.sort((one, other) => freeOf(one) - freeOf(other))[0];
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

  #view(deployment: Deployment, { logger, random }: StoreOptions): OpenStore {
    const mailboxes = new MemoryMailboxes(deployment.mailboxes);
    // An owner and every instance that could claim its sessions live in this process, so no lease expires.
    const instances = new Instances({ records: deployment.records(LEASES), mailboxes, leaseMs: null, logger });
    const secrets = new Secrets(deployment.records(SECRETS), random);
    const view: OpenStore = {
      records: (kind) => deployment.records(kind),
      instances,
      secret: (name, keepMs) => secrets.get(name, keepMs),
      room: () => deployment.room(),
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
