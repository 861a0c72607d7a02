/**
 * An append that waits for the end of its turn, together with later appends of the turn to the same stream. So a call
 * that is answered at once has its priming event and its answer in one row.
 */
import { canJoin } from '../shared/joined-appends.ts';
import type { AppendRequest, Fence, Marker, WriteOutcome } from '../store.ts';

export class PendingAppend {
  readonly sessionId: string;
  readonly fence: Fence;
  readonly stream: string;
  readonly from: number;
  /** A copy, because the caller may change its list. */
  readonly events: string[];
  complete: boolean;
  requests: string | undefined;
  readonly mark: Marker | undefined;
  unmark: string | undefined;
  outcome: Promise<WriteOutcome> | undefined = undefined;
  /** The number of other writes before this append. Another write between two appends keeps them apart. */
  readonly #after: number;

  constructor(request: AppendRequest, after: number) {
    this.sessionId = request.sessionId;
    this.fence = request.fence;
    this.stream = request.stream;
    this.from = request.from;
    this.events = [...request.events];
    this.complete = request.complete ?? false;
    this.requests = request.requests;
    this.mark = request.mark;
    this.unmark = request.unmark;
    this.#after = after;
  }

  /** `false`: `next` does not follow directly or has another fence, and is written separately. */
  join(next: AppendRequest, after: number): boolean {
    if (after !== this.#after || !canJoin(this, next)) return false;
    for (const event of next.events) this.events.push(event);
    this.complete = next.complete ?? false;
    this.requests ??= next.requests;
    this.unmark = next.unmark;
    return true;
  }
}
