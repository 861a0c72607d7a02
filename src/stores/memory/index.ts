/**
 * The memory store: everything in this process, every answer at once. One object serves any number of endpoints: those of
 * one `name` are one deployment and share its sessions, logs, mailboxes and secrets; another name sees none of it. What
 * they share is opened by the first and dropped when the last endpoint of the object closes.
 *
 * The first endpoint of a name decides its clock, retention and tombstone time; the first of the object `eventLogBytes`.
 */
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { MemoryEvents } from './events.ts';
import { Directory, MemoryInstances } from './instances.ts';
import { Ledger } from './ledger.ts';
import { EventBudget, Logbook } from './logbook.ts';
import { Secrets } from './secrets.ts';
import { MemorySessions } from './sessions.ts';
import { Tombstones } from './tombstones.ts';

/** What the endpoints of one name share. */
class Deployment {
  readonly directory = new Directory();
  readonly sessions: MemorySessions;
  readonly events: MemoryEvents;
  readonly secrets: Secrets;

  constructor({ time, tombstoneMs, tombstones, retention }: StoreOptions, budget: EventBudget) {
    const ledger = new Ledger(time, new Tombstones(tombstoneMs, tombstones));
    this.secrets = new Secrets(time);
    this.sessions = new MemorySessions(ledger, this.directory);
    this.events = new MemoryEvents(ledger, retention === false ? undefined : new Logbook(retention, budget));
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

/** A store in this process. Sessions end with it; give one object to several endpoints to let them share it. */
export function memory(): Store {
  return new MemoryStore();
}
