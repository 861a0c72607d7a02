/** What the subscriptions of a dispatcher share. */
import type { ResolvedEvents } from '../../base/options/events-options.ts';
import { backoffMs } from '../../base/system.ts';
import type { Logger } from '../../base/types.ts';
import { UNOWNED } from '../../stores/store.ts';
import type { EventStore, Numbers } from './event-store.ts';
import type { WebhookMessage } from './event-wire.ts';
import type { Post, Posted } from './webhook.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 120_000;
/** After so many tries in a row a subscription is suspended: its client refreshes it, or it waits. */
export const SUSPENDED_AFTER = 12;
const SUSPENDED_MS = 600_000;
/** What callbacks that are behind may still read, at least. */
const RETRIED_MS = 900_000;

export class Deliveries {
  readonly store: EventStore;
  /** The epoch of this dispatcher. */
  epoch = 0;
  /** Which events callbacks that are behind may read. */
  numbers: Numbers = { tail: 0, owners: [] };
  readonly #events: ResolvedEvents;
  readonly #post: Post;
  readonly #timers = new Set<unknown>();
  /** Where subscriptions are until they end. */
  index: { drop(record: string): void } | undefined;

  constructor(store: EventStore, events: ResolvedEvents, post: Post) {
    this.store = store;
    this.#events = events;
    this.#post = post;
  }

  /** This instance dispatches from now on. */
  begin(epoch: number, numbers: Numbers): void {
    this.epoch = epoch;
    this.numbers = numbers;
  }

  get logger(): Logger {
    return this.store.logger;
  }

  now(): number {
    return this.store.options.timeProvider.now();
  }

  monotonic(): number {
    return this.store.options.timeProvider.monotonic();
  }

  after(ms: number, work: () => void): void {
    const timer: unknown = this.store.options.timeProvider.setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }

  close(): void {
    for (const timer of this.#timers) this.store.options.timeProvider.clearTimeout(timer);
    this.#timers.clear();
  }

  pauseMs(tries: number): number {
    if (tries > SUSPENDED_AFTER) return SUSPENDED_MS;
    return backoffMs(tries - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, this.store.random);
  }

  keptMs(keepMs: number): number {
    return Math.max(keepMs, RETRIED_MS);
  }

  isTrusted(url: URL): boolean {
    return this.#events.trustedCallback?.(url) === true;
  }

  post(url: URL, message: WebhookMessage, secrets: readonly string[]): Promise<Posted> {
    return this.#post({ url, message, secrets, now: this.now(), isTrusted: this.isTrusted(url) });
  }

  /** Another instance, or the store, has ended this subscription. */
  ended(record: string): void {
    this.index?.drop(record);
  }

  async end(record: string): Promise<void> {
    const { subscriptions } = this.store;
    await this.store.lasting(() => subscriptions.end(record, UNOWNED, '', 0));
    this.ended(record);
  }
}
