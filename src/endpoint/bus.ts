/**
 * The bus of `subscriptions/listen` and `notify` across instances, through the store or the bus of the application. The
 * listeners of this process hear of an event after it has been sent to the other instances: their clients may ask any
 * instance at once, and an instance that has not heard of it answers with what it knows (`sharedLists`).
 */
import {
  InMemoryServerEventBus,
  type ServerEvent,
  type ServerEventBus,
} from '@modelcontextprotocol/server';
import { afterTurn, within } from '../base/system.ts';
import type { Instance } from '../cluster/instance.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import type { SharedLists } from '../session/calls/shared-lists.ts';
import { changeOf } from '../session/recent-changes.ts';
import type { Notifier } from './notifications.ts';

/** How long listeners wait for the store. */
const SENT_MS = 1_000;
/** Events that wait for a turn. Above it the publisher waits for the oldest. */
const MOST_WAITING = 1_000;

export interface EndpointBusOptions {
  /** `bus`: the bus of the application, which delivers to this process too. */
  readonly options: Pick<ResolvedOptions, 'bus' | 'logger' | 'timeProvider'>;
  /** Not used where the application has a bus. `publish` never rejects. */
  readonly others: Pick<Instance, 'publish'>;
  /** What this process keeps of them is out of date with the event. */
  readonly lists: Pick<SharedLists, 'changed'> | undefined;
}

export class EndpointBus implements ServerEventBus {
  readonly #local: InMemoryServerEventBus;
  readonly #given: EndpointBusOptions;
  /** The events that wait, oldest first: one about each change, and each that has `params`. */
  readonly #waiting = new Map<string | ServerEvent, ServerEvent>();
  #isDelivering = false;

  constructor(given: EndpointBusOptions) {
    const { logger } = given.options;
    this.#local = new InMemoryServerEventBus((err) =>
      logger.warn({ err }, 'A listener of the event bus threw'),
    );
    this.#given = given;
  }

  publish(event: ServerEvent): void {
    const { options, others, lists } = this.#given;
    lists?.changed(event.kind);
    if (options.bus !== undefined) return options.bus.publish(event);
    const sent = within(options.timeProvider, SENT_MS, others.publish(event), () => undefined);
    void sent.then(() => this.deliver(event));
  }

  /**
   * Delivers an event to the listeners of this process: one in each turn of the event loop, and one for all that say
   * the same. A user has up to 256 streams, and an application may publish hundreds of events at once.
   */
  deliver(event: ServerEvent): void {
    this.#given.lists?.changed(event.kind);
    this.#waiting.set(event.params === undefined ? changeOf(event) : event, event);
    if (!this.#isDelivering) this.#nextTurn();
    else if (this.#waiting.size > MOST_WAITING) this.#deliverOldest();
  }

  #nextTurn(): void {
    this.#isDelivering = this.#waiting.size > 0;
    if (!this.#isDelivering) return;
    this.#deliverOldest();
    afterTurn(() => this.#nextTurn());
  }

  #deliverOldest(): void {
    for (const [key, event] of this.#waiting) {
      this.#waiting.delete(key);
      return this.#local.publish(event);
    }
  }

  subscribe(listener: (event: ServerEvent) => void): () => void {
    const unsubscribe = this.#local.subscribe(listener);
    const unsubscribeApplication = this.#given.options.bus?.subscribe(listener);
    return () => {
      unsubscribe();
      unsubscribeApplication?.();
    };
  }
}

export function createNotifier(bus: ServerEventBus, messages: Pick<Notifier, 'message'>): Notifier {
  return {
    message: (message) => messages.message(message),
    toolsChanged: () => bus.publish({ kind: 'tools_list_changed' }),
    promptsChanged: () => bus.publish({ kind: 'prompts_list_changed' }),
    resourcesChanged: () => bus.publish({ kind: 'resources_list_changed' }),
    // A `URL` is one for every listener then.
    resourceUpdated: (uri) => bus.publish({ kind: 'resource_updated', uri: String(uri) }),
  };
}
