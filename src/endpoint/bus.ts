/**
 * The bus of `subscriptions/listen` and `notify` across instances. An event reaches the listeners of this process at
 * once, and the listeners of other instances through the store.
 */
import {
  InMemoryServerEventBus,
  type ServerEvent,
  type ServerEventBus,
  type ServerNotifier,
} from '@modelcontextprotocol/server';

export class FleetBus implements ServerEventBus {
  readonly #local: InMemoryServerEventBus;
  readonly #publish: (event: ServerEvent) => void;

  constructor(publish: (event: ServerEvent) => void, onerror: (error: Error) => void) {
    this.#local = new InMemoryServerEventBus(onerror);
    this.#publish = publish;
  }

  publish(event: ServerEvent): void {
    this.#local.publish(event);
    this.#publish(event);
  }

  /** Delivers an event from another instance, or one for the clients of this instance alone. */
  deliver(event: ServerEvent): void {
    this.#local.publish(event);
  }

  subscribe(listener: (event: ServerEvent) => void): () => void {
    return this.#local.subscribe(listener);
  }
}

/** The application's bus, with events for the clients of this instance alone. */
export class LocalBus implements ServerEventBus {
  readonly #bus: ServerEventBus;
  readonly #local: InMemoryServerEventBus;

  constructor(bus: ServerEventBus, onerror: (error: Error) => void) {
    this.#bus = bus;
    this.#local = new InMemoryServerEventBus(onerror);
  }

  publish(event: ServerEvent): void {
    this.#bus.publish(event);
  }

  deliver(event: ServerEvent): void {
    this.#local.publish(event);
  }

  subscribe(listener: (event: ServerEvent) => void): () => void {
    const unsubscribes = [this.#bus.subscribe(listener), this.#local.subscribe(listener)];
    return () => {
      for (const unsubscribe of unsubscribes) unsubscribe();
    };
  }
}

export function createNotifier(bus: ServerEventBus): ServerNotifier {
  return {
    toolsChanged: () => bus.publish({ kind: 'tools_list_changed' }),
    promptsChanged: () => bus.publish({ kind: 'prompts_list_changed' }),
    resourcesChanged: () => bus.publish({ kind: 'resources_list_changed' }),
    resourceUpdated: (uri) => bus.publish({ kind: 'resource_updated', uri }),
  };
}
