/**
 * Bus events on their way to the other instances. Events that the store did not take are published again once it is
 * back. They say only that something changed, so of equal events the last one is enough.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { SojournError } from '../errors.ts';
import type { InstanceStore } from '../stores/store.ts';
import type { Logger } from '../types.ts';

/** Different events that wait for the store. */
const MOST = 1_000;

export class BusOutbox {
  readonly #directory: Pick<InstanceStore, 'publish'>;
  readonly #lease: { readonly id: string };
  readonly #logger: Logger;
  /** The key is what an event reports as changed. */
  readonly #waiting = new Map<string, ServerEvent>();

  constructor(directory: Pick<InstanceStore, 'publish'>, lease: { readonly id: string }, logger: Logger) {
    this.#directory = directory;
    this.#lease = lease;
    this.#logger = logger;
  }

  async publish(event: ServerEvent): Promise<void> {
    try {
      await this.#directory.publish(this.#lease.id, { kind: 'bus', event });
    } catch (cause) {
      this.#failed(event, cause);
    }
  }

  /** The store is back, and the other instances receive again. */
  publishWaiting(): void {
    if (this.#waiting.size === 0) return;
    const events = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const event of events) void this.publish(event);
  }

  #failed(event: ServerEvent, cause: unknown): void {
    const key = event.kind === 'resource_updated' ? `${event.kind} ${event.uri}` : event.kind;
    const mayWait = cause instanceof SojournError && cause.retryable;
    if (mayWait && (this.#waiting.has(key) || this.#waiting.size < MOST)) return void this.#waiting.set(key, event);
    this.#logger.error(
      { err: cause, event: event.kind },
      'A change of a list or resource could not be sent to the other instances: their clients are not notified',
    );
  }
}
