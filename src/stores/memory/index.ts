/**
 * The memory store: all data is in this process, and every method answers at once. One store object serves any number
 * of endpoints. Endpoints with the same `name` are one deployment and share sessions, logs, mailboxes and secrets.
 * Endpoints with other names see none of them.
 *
 * The first endpoint of the object opens the shared data; the close of the last one drops it. The first endpoint of a
 * name sets the clock, the retention and the tombstone time. The first endpoint of the object sets `eventLogBytes`.
 */
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { MemoryEvents } from './events.ts';
import { InstanceDirectory, MemoryInstances } from './instances.ts';
import { MemorySessionTable } from './session-table.ts';
import { EventBudget, RetainedLogs } from './retained-logs.ts';
import { MemorySecrets } from './secrets.ts';
import { MemorySessions } from './sessions.ts';
import { Tombstones } from './tombstones.ts';

/** What the endpoints of one name share. */
class Deployment {
  readonly directory = new InstanceDirectory();
  readonly sessions: MemorySessions;
  readonly events: MemoryEvents;
  readonly secrets: MemorySecrets;

  constructor({ time, tombstoneMs, tombstones, retention }: StoreOptions, budget: EventBudget) {
    const table = new MemorySessionTable(time, new Tombstones(tombstoneMs, tombstones));
    this.secrets = new MemorySecrets(time);
    this.sessions = new MemorySessions(table);
    this.events = new MemoryEvents(table, retention === false ? undefined : new RetainedLogs(retention, budget));
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
    const instances = new MemoryInstances(deployment.directory, logger);
    const view: OpenStore = {
      sessions: deployment.sessions,
      events: deployment.events,
      instances,
      secret: (name, keepMs) => deployment.secrets.get(name, keepMs, random),
      close: async () => {
        instances.close();
        this.#views.delete(view);
        if (this.#views.size > 0) return;
        this.#deployments.clear();
        this.#budget = undefined;
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
