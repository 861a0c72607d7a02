/** One record that has not ended (packed, replaced as a whole by each write), its marks and its log. */
import type { Mark, Ownership, StoredRecord } from '../store.ts';
import { PackedRecord } from './packed-record.ts';
import type { RecordLog } from './record-log.ts';

/** One shared list, because nearly every record has no marks. */
const NO_MARKS: readonly Mark[] = Object.freeze([]);

export class HeldRecord extends PackedRecord {
  /** The position in `list`: each created record gets a higher one. */
  readonly place: number;
  /** The index in its slot of `DueIndex`, for a record with an expiry or a due time. */
  slotIndex = 0;
  marks: readonly Mark[] = NO_MARKS;
  log: RecordLog | undefined = undefined;
  /** The store answered that this record has expired: it stays so, if an injected clock is set back. */
  reportedExpired = false;

  constructor(record: StoredRecord, place: number) {
    super(record);
    this.place = place;
  }

  mark(mark: Mark): void {
    this.unmark(mark);
    this.marks = [...this.marks, { name: mark.name, stream: mark.stream }];
  }

  unmark(mark: Mark): void {
    if (this.marks.length === 0) return;
    this.marks = this.marks.filter(({ name, stream }) => name !== mark.name || stream !== mark.stream);
  }

  expired(now: number): boolean {
    const { expiresAt } = this;
    return this.reportedExpired || (expiresAt !== null && expiresAt <= now);
  }

  wakes(now: number): boolean {
    const { wakesAt } = this;
    return this.reportedExpired || (wakesAt !== null && wakesAt <= now);
  }

  ownedBy({ epoch, owner }: Ownership): boolean {
    return this.epoch === epoch && this.owner === owner;
  }
}
