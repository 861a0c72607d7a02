import type { ServerEvent } from '@modelcontextprotocol/server';

/** Different changes that are kept. */
const MOST = 1_000;
/** An event reaches instances at different times, a mailbox that is closed loses those in it, and clocks differ. */
export const SLACK_MS = 5_000;

/** What an event reports as changed. */
export const changeOf = (event: ServerEvent): string =>
  event.kind === 'resource_updated' ? `${event.kind} ${event.uri}` : event.kind;

/**
 * The changes of lists and resources that came last, for clients that may not have heard of them. Events say only that
 * something changed, so the last one about each list and resource is kept.
 */
export class RecentChanges {
  /** The latest last. */
  readonly #last = new Map<string, { readonly event: ServerEvent; readonly at: number }>();

  note(event: ServerEvent, at: number): void {
    const key = changeOf(event);
    this.#last.delete(key);
    this.#last.set(key, { event, at });
    if (this.#last.size > MOST) this.#last.delete(this.#last.keys().next().value!);
  }

  since(at: number, before = Infinity): readonly ServerEvent[] {
    return [...this.#last.values()]
      .filter((last) => last.at > at && last.at < before)
      .map(({ event }) => event);
  }
}
