/** One session that has not ended: its record (packed, replaced as a whole by each write), its markers and its log. */
import type { Marker, Ownership, StoredRecord } from '../store.ts';
import { PackedRecord } from './packed-record.ts';
import type { SessionLog } from './session-log.ts';

/** One shared list, because nearly every session has no markers. */
const NO_MARKERS: readonly Marker[] = Object.freeze([]);

export class HeldSession extends PackedRecord {
  /** The position in `list`: each created session gets a higher one. */
  readonly place: number;
  /** The index in its slot of `ExpiryIndex`, for a session that expires. */
  slotIndex = 0;
  markers: readonly Marker[] = NO_MARKERS;
  log: SessionLog | undefined = undefined;
  /** The store answered that this session has expired: it stays so, if an injected clock is set back. */
  reportedExpired = false;

  constructor(record: StoredRecord, place: number) {
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

  ownedBy({ epoch, owner }: Ownership): boolean {
    return this.epoch === epoch && this.owner === owner;
  }
}
