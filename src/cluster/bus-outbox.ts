/**
 * Bus events on their way to the other instances. Events that the store did not take are published again once it is
 * back, and an instance that was without its lease or mailbox gets those that it missed. They say only that something
 * changed, so a repeated one is harmless.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { SojournError } from '../base/errors.ts';
import { RecentChanges, SLACK_MS } from '../session/recent-changes.ts';
import type { LinksOptions } from './links.ts';
import type { MissedMessage } from './messages.ts';

export class BusOutbox {
  readonly #options: LinksOptions;
  readonly #lease: { readonly id: string };
  readonly #events = new RecentChanges();
  /** When the first was published that the store did not take. */
  #unsentSince = Infinity;

  constructor(options: LinksOptions, lease: { readonly id: string }) {
    this.#options = options;
    this.#lease = lease;
  }

  async publish(event: ServerEvent): Promise<void> {
    const { messages, logger, time } = this.#options;
    const now = time.monotonic();
    this.#events.note(event, now);
    try {
      await messages.publish(this.#lease.id, { kind: 'bus', event });
    } catch (err) {
      if (err instanceof SojournError && err.retryable)
        this.#unsentSince = Math.min(this.#unsentSince, now);
      else
        logger.error(
          { err, event: event.kind },
          'A change of a list or resource could not be sent to the other instances: their clients are not notified',
        );
    }
  }

  /** What an instance has missed. What the store did not take yet goes to all. */
  recent({ ms, backMs }: MissedMessage): readonly ServerEvent[] {
    const now = this.#options.time.monotonic();
    return this.#events.since(now - ms - SLACK_MS, Math.min(this.#unsentSince, now - backMs));
  }

  /** The store is back, and the other instances receive again. */
  publishUnsent(): void {
    const events = this.#events.since(this.#unsentSince - 1);
    this.#unsentSince = Infinity;
    for (const event of events) void this.publish(event);
  }
}
