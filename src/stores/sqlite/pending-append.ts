/**
 * An append that waits for the end of its turn, and what is appended to the same stream in the same turn: a call that is
 * answered at once has its priming event and its answer in one row.
 */
import type { AppendRequest, WriteOutcome } from '../store.ts';

export class PendingAppend {
  outcome: Promise<WriteOutcome> | undefined = undefined;
  #request: AppendRequest;
  /** Counts what else was to be written before it: whatever comes between two appends keeps them apart. */
  readonly #after: number;

  constructor(request: AppendRequest, after: number) {
    // Its caller may go on with its list.
    this.#request = { ...request, events: [...request.events] };
    this.#after = after;
  }

  get request(): AppendRequest {
    return this.#request;
  }

  /** `false`: it does not follow at once, or not under the same fence; it is an append of its own. */
  join(next: AppendRequest, after: number): boolean {
    const first = this.#request;
    const follows =
      after === this.#after &&
      first.complete !== true &&
      next.from === first.from + first.events.length &&
      next.fence.epoch === first.fence.epoch &&
      next.fence.owner === first.fence.owner &&
      // A marker is written before one is removed.
      first.unmark === undefined &&
      next.mark === undefined;
    if (follows) {
      const { requests = next.requests } = first;
      this.#request = {
        ...first,
        ...next,
        from: first.from,
        events: [...first.events, ...next.events],
        ...(requests !== undefined && { requests }),
      };
    }
    return follows;
  }
}
