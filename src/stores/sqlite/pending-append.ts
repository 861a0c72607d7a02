/**
 * An append that waits for the end of its turn, together with later appends of the turn to the same stream. So a call
 * that is answered at once has its priming event and its answer in one row.
 */
import { canJoin } from '../shared/joined-appends.ts';
import type { AppendRequest, Fence, Mark, WriteOutcome } from '../store.ts';

export class PendingAppend {
  readonly id: string;
  readonly fence: Fence;
  readonly stream: string;
  readonly from: number;
  /** A copy, because the caller may change its list. */
  readonly events: string[];
  complete: boolean;
  note: string | undefined;
  readonly mark: Mark | undefined;
  unmark: string | undefined;
  outcome: Promise<WriteOutcome> | undefined = undefined;
  /** The number of other writes before this append. Another write between two appends keeps them apart. */
  readonly #after: number;

  constructor(request: AppendRequest, after: number) {
    this.id = request.id;
    this.fence = request.fence;
    this.stream = request.stream;
    this.from = request.from;
    this.events = [...request.events];
    this.complete = request.complete ?? false;
    this.note = request.note;
    this.mark = request.mark;
    this.unmark = request.unmark;
    this.#after = after;
  }

  /** `false`: `next` does not follow directly or has another fence, and is written separately. */
  join(next: AppendRequest, after: number): boolean {
    if (after !== this.#after || !canJoin(this, next)) return false;
    for (const event of next.events) this.events.push(event);
    this.complete = next.complete ?? false;
    this.note ??= next.note;
    this.unmark = next.unmark;
    return true;
  }
}
