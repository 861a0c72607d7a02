/**
 * Bus events on their way to the other instances. Events that the store did not take are published again once it is
 * back, and an instance that was without its lease gets those that it missed. They say only that something changed, so
 * of equal events the last one is enough.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { SojournError } from '../errors.ts';
import type { InstanceStore } from '../stores/store.ts';
import { changeOf, RecentChanges, SLACK_MS } from '../session/recent-changes.ts';
import type { Logger, TimeProvider } from '../types.ts';

/** Different events that wait for the store. */
const MOST = 1_000;

export interface BusOutboxOptions {
  readonly directory: Pick<InstanceStore, 'publish'>;
  readonly logger: Logger;
  readonly time: Pick<Required<TimeProvider>, 'monotonic'>;
}

export class BusOutbox {
  readonly #directory: Pick<InstanceStore, 'publish'>;
  readonly #lease: { readonly id: string };
  readonly #logger: Logger;
  readonly #time: BusOutboxOptions['time'];
  readonly #waiting = new Map<string, ServerEvent>();
  readonly #published = new RecentChanges();

  constructor({ directory, logger, time }: BusOutboxOptions, lease: { readonly id: string }) {
    this.#directory = directory;
    this.#lease = lease;
    this.#logger = logger;
    this.#time = time;
  }

  async publish(event: ServerEvent): Promise<void> {
    try {
      await this.#directory.publish(this.#lease.id, { kind: 'bus', event });
    } catch (cause) {
      return this.#failed(event, cause);
    }
    this.#published.note(event, this.#time.monotonic());
  }

  /** For an instance that heard nothing in the last `ms`. */
  recent(ms: number): readonly ServerEvent[] {
    return this.#published.since(this.#time.monotonic() - ms - SLACK_MS);
  }

  /** The store is back, and the other instances receive again. */
  publishWaiting(): void {
    if (this.#waiting.size === 0) return;
    const events = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const event of events) void this.publish(event);
  }

  #failed(event: ServerEvent, cause: unknown): void {
    const key = changeOf(event);
    const mayWait = cause instanceof SojournError && cause.retryable;
    if (mayWait && (this.#waiting.has(key) || this.#waiting.size < MOST)) return void this.#waiting.set(key, event);
    this.#logger.error(
      { err: cause, event: event.kind },
      'A change of a list or resource could not be sent to the other instances: their clients are not notified',
    );
  }
}
