/**
 * The bus of `subscriptions/listen` and `notify` across instances, through the store or the bus of the application. An
 * `InMemoryServerEventBus` of the application knows this process alone: its events go through the store, too. The
 * listeners of this process hear of an event after it has been sent to the other instances: their clients may ask any
 * instance at once, and an instance that has not heard of it answers with what it knows (`sharedLists`).
 */
import { InMemoryServerEventBus, type ServerEvent, type ServerEventBus } from '@modelcontextprotocol/server';
import { within } from '../base/system.ts';
import type { Instance } from '../cluster/instance.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { SharedLists } from '../session/calls/shared-lists.ts';
import type { Notifier } from './notifications.ts';

/** How long listeners wait for the store. */
const SENT_MS = 1_000;

export interface EndpointBusOptions {
  /** `bus`: the bus of the application, which delivers to this process too. */
  readonly options: Pick<ResolvedOptions, 'bus' | 'logger' | 'timeProvider'>;
  /** Not used where the application has a bus that reaches them by itself. `publish` never rejects. */
  readonly others: Pick<Instance, 'publish'>;
  /** What this process keeps of them is out of date with the event. */
  readonly lists: Pick<SharedLists, 'changed'> | undefined;
}

/** By its name: the application may have another copy of the SDK. */
const knowsThisProcessAlone = (bus: ServerEventBus): boolean => bus.constructor?.name === InMemoryServerEventBus.name;

export class EndpointBus implements ServerEventBus {
  readonly #local: InMemoryServerEventBus;
  readonly #given: EndpointBusOptions;
  /** The bus of the application, where it delivers to all instances by itself. */
  readonly #reachesAll: ServerEventBus | undefined;
  /** Events that the application publishes on its own bus go no further. */
  readonly close: () => void;

  constructor(given: EndpointBusOptions) {
    const { logger, bus } = given.options;
    this.#local = new InMemoryServerEventBus((err) => logger.warn({ err }, 'A listener of the event bus threw'));
    this.#given = given;
    const isInProcess = bus !== undefined && knowsThisProcessAlone(bus);
    this.#reachesAll = isInProcess ? undefined : bus;
    this.close = isInProcess ? bus.subscribe((event) => this.#send(event)) : () => undefined;
  }

  publish(event: ServerEvent): void {
    const { options, lists } = this.#given;
    if (options.bus === undefined) return this.#send(event);
    if (this.#reachesAll !== undefined) lists?.changed(event.kind);
    options.bus.publish(event);
  }

  #send(event: ServerEvent): void {
    const { options, others, lists } = this.#given;
    lists?.changed(event.kind);
    const sent = within(options.timeProvider, SENT_MS, others.publish(event), () => undefined);
    void sent.then(() => this.#local.publish(event));
  }

  /** Delivers an event from another instance, or one for the clients of this instance alone. */
  deliver(event: ServerEvent): void {
    this.#local.publish(event);
  }

  subscribe(listener: (event: ServerEvent) => void): () => void {
    const unsubscribe = this.#local.subscribe(listener);
    const unsubscribeApplication = this.#reachesAll?.subscribe(listener);
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
    resourceUpdated: (uri) => bus.publish({ kind: 'resource_updated', uri }),
  };
}
