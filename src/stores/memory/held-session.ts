/** One session that has not been ended: its record (packed; replaced whole by every write), its markers and its log. */
import type { Fence, Marker, SessionRecord } from '../store.ts';
import { PackedRecord } from './packed-record.ts';
import type { SessionLog } from './session-log.ts';

/** Shared, because nearly every session has none. */
const NO_MARKERS: readonly Marker[] = Object.freeze([]);

export class HeldSession extends PackedRecord {
  /** Its place in `list`: rises with every session created. */
  readonly place: number;
  /** Where it stands in its slot of the expiry index, if it has an expiry. */
  slotIndex = 0;
  markers: readonly Marker[] = NO_MARKERS;
  log: SessionLog | undefined = undefined;
  /** A reader was told that it has expired: a clock that is set back does not bring it back. */
  reportedExpired = false;

  constructor(record: SessionRecord, place: number) {
    super(record);
    this.place = place;
  }

  mark(marker: Marker): void {
    this.unmark(marker);
    this.markers = [...this.markers, { request: marker.request, stream: marker.stream }];
  }

  unmark(marker: Marker): void {
    if (this.markers.length === 0) return;
    this.markers = this.markers.filter(({ request, stream }) => request !== marker.request || stream !== marker.stream);
  }

  expired(now: number): boolean {
    const { expiresAt } = this;
    return this.reportedExpired || (expiresAt !== null && expiresAt <= now);
  }

  fencedBy(fence: Fence): boolean {
    return this.epoch === fence.epoch && this.owner === fence.owner;
  }
}
