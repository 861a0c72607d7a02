/**
 * The bus of `subscriptions/listen` and `notify` across instances. An event reaches the listeners of this process at
 * once, and the listeners of other instances through the store, or through the bus of the application.
 */
import { InMemoryServerEventBus, type ServerEvent, type ServerEventBus } from '@modelcontextprotocol/server';
import type { Logger } from '../types.ts';
import type { Notifier } from './notifications.ts';

export class EndpointBus implements ServerEventBus {
  readonly #local: InMemoryServerEventBus;
  readonly #others: Pick<ServerEventBus, 'publish'>;
  /** It delivers to this process too. */
  readonly #application: ServerEventBus | undefined;

  /** `others`: takes events to the other instances, where the application has no bus. */
  constructor(application: ServerEventBus | undefined, others: Pick<ServerEventBus, 'publish'>, logger: Logger) {
    this.#local = new InMemoryServerEventBus((err) => logger.warn({ err }, 'A listener of the event bus threw'));
    this.#application = application;
    this.#others = others;
  }

  publish(event: ServerEvent): void {
    if (this.#application !== undefined) return this.#application.publish(event);
    this.#local.publish(event);
    this.#others.publish(event);
  }

  /** Delivers an event from another instance, or one for the clients of this instance alone. */
  deliver(event: ServerEvent): void {
    this.#local.publish(event);
  }

  subscribe(listener: (event: ServerEvent) => void): () => void {
    const unsubscribe = this.#local.subscribe(listener);
    const unsubscribeApplication = this.#application?.subscribe(listener);
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
