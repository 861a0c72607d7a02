/** Appends of one turn that follow each other in a stream are stored as one row. */
import type { Fence } from '../store.ts';

interface Appended {
  readonly fence: Fence;
  readonly from: number;
  readonly events: readonly string[];
  readonly complete?: boolean | undefined;
  readonly mark?: object | undefined;
  readonly unmark?: object | string | undefined;
}

/** Whether `next`, an append to the same stream, can be one row with `append`. */
export const canJoin = (append: Appended, next: Appended): boolean =>
  append.complete !== true &&
  next.from === append.from + append.events.length &&
  next.fence.epoch === append.fence.epoch &&
  next.fence.owner === append.fence.owner &&
  // A marker is written before one is removed.
  append.unmark === undefined &&
  next.mark === undefined;
