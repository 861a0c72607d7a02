/** An append with its marks, or marks alone. Appends that follow each other in a stream are stored as one row. */
import type { AppendRequest, Fence, Mark } from '../store.ts';

export class JoinedAppend {
  readonly id: string;
  readonly fence: Fence;
  /** `null`: marks alone. */
  readonly stream: string | null;
  readonly from: number;
  /** A copy, because the caller may change its list. */
  readonly events: string[];
  /** The bytes of the events. */
  bytes = 0;
  complete: boolean;
  note: string | undefined;
  readonly mark: Mark | undefined;
  unmark: Mark | undefined;

  constructor({ id, fence, stream, from = 0, events = [], complete = false, note, mark, unmark }: AppendRequest) {
    this.id = id;
    this.fence = fence;
    this.stream = stream;
    this.from = from;
    this.events = [...events];
    for (const event of events) this.bytes += Buffer.byteLength(event);
    this.complete = complete;
    this.note = note;
    this.mark = mark;
    this.unmark = unmark;
  }

  /** `logged`: whether the store keeps a log of this kind. */
  static of(request: AppendRequest, logged: boolean): JoinedAppend {
    const { id, fence, mark, unmark } = request;
    return new JoinedAppend(logged ? request : { id, fence, stream: null, mark, unmark });
  }

  /** `false`: `next` does not follow directly, or has another fence; it stays a separate append. */
  join(next: JoinedAppend): boolean {
    if (this.stream === null || !this.#precedes(next)) return false;
    for (const event of next.events) this.events.push(event);
    this.bytes += next.bytes;
    this.complete = next.complete;
    this.note ??= next.note;
    this.unmark = next.unmark;
    return true;
  }

  #precedes(next: JoinedAppend): boolean {
    return (
      next.stream === this.stream &&
      !this.complete &&
      next.from === this.from + this.events.length &&
      next.fence.epoch === this.fence.epoch &&
      next.fence.owner === this.fence.owner &&
      // A marker is written before one is removed.
      this.unmark === undefined &&
      next.mark === undefined
    );
  }
}
