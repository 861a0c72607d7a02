import type { ServerEvent } from '@modelcontextprotocol/server';
import { LIST_CHANGED } from '../protocol/list-changed.ts';

/**
 * When this instance last learnt from the bus that a list changed. A session that was live nowhere at that time gets
 * `list_changed` when it is restored here.
 */
export class RecentListChanges {
  /** Method → ms since 1970. */
  readonly #last = new Map<string, number>();

  note(event: ServerEvent, now: number): void {
    if (event.kind !== 'resource_updated') this.#last.set(LIST_CHANGED[event.kind], now);
  }

  /** The `list_changed` methods that a session missed which was last active at `activeAt`. */
  since(activeAt: number): readonly string[] {
    const missed: string[] = [];
    for (const [method, at] of this.#last) if (at > activeAt) missed.push(method);
    return missed;
  }
}
