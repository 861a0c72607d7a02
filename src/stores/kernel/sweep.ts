/**
 * The sweep of one kind: pages of due records. What shows no more is forgotten as it is found, and logs that their
 * owners have left are trimmed.
 *
 * An owner trims its log itself, until it crashes or releases the record. So the row of a record wakes when its events
 * are too old, and every save of a living owner moves that. The process whose sweep finds the row trims the log.
 */
import type { DueRecord, RecordPage } from '../store.ts';
import type { DuePlace, Row } from './backend.ts';
import type { KernelParts, KnownRecords } from './known-records.ts';
import type { RowSteps } from './row-steps.ts';
import { fencedRow, isExpired, livingOf, recordOf, shownOf, wokeForLog } from './row-value.ts';

const FIRST: DuePlace = [-Number.MAX_VALUE, ''];

export class RowSweep {
  readonly #parts: KernelParts;
  readonly #maxAgeMs: number;
  readonly #steps: RowSteps;
  readonly #known: KnownRecords;

  constructor(parts: KernelParts, steps: RowSteps, known: KnownRecords) {
    const { kind, isAlone } = parts;
    this.#parts = parts;
    this.#maxAgeMs = isAlone || kind.log === false ? Infinity : kind.log.maxAgeMs;
    this.#steps = steps;
    this.#known = known;
  }

  /** When the row of a record that is written now wakes for its log. */
  trimAt(now: number): number | null {
    return this.#maxAgeMs === Infinity ? null : now + this.#maxAgeMs;
  }

  async due(
    now: number,
    limit: number,
    cursor: string | undefined,
  ): Promise<RecordPage<DueRecord>> {
    let place = placeOf(cursor);
    for (;;) {
      const rows = await this.#parts.backend.due(this.#parts.kind, place, now, limit);
      const read = this.#steps.readable(rows);
      await this.#clean(read, now);
      const records = read.flatMap((row) => {
        const record = recordOf(row);
        if (record === undefined || wokeForLog(row, now)) return [];
        const { id, epoch, owner } = record;
        return [{ id, epoch, owner, expired: isExpired(row, now) }];
      });
      const last = rows.at(-1);
      if (rows.length < limit || last === undefined) return { records };
      place = [last.wakeAt ?? now, last.id];
      if (records.length > 0) return { records, nextCursor: place.join(' ') };
    }
  }

  /** The next sweep finds what fails. */
  async #clean(rows: readonly Row[], now: number): Promise<void> {
    for (const row of rows) if (this.#isForgotten(row, now)) this.#delete(row);
    const left = this.#maxAgeMs === Infinity ? [] : rows.filter((row) => wokeForLog(row, now));
    // The logs of one page are trimmed at the same time.
    await Promise.allSettled(left.map(({ id }) => this.#trimLog(id)));
  }

  /** An ended record that shows no more. An expired record that was not ended stays, if a sweep looks for it. */
  #isForgotten(row: Row, now: number): boolean {
    return (
      shownOf(row, now, this.#parts.kind) === undefined &&
      (row.fence === null || !this.#parts.kind.listed)
    );
  }

  /** Waits for nothing. */
  #delete(row: Row): void {
    const deleted = this.#steps.replace(row.id, row, null);
    if (deleted instanceof Promise) deleted.catch(() => undefined);
  }

  async #trimLog(id: string): Promise<void> {
    await this.#steps.step<true>(id, (row, now) => {
      const record = livingOf(row, now);
      if (row === undefined || record === undefined || !wokeForLog(row, now))
        return { answer: true };
      // No event is added to the log of a released record, so this is its last trim.
      const put = fencedRow(record, record.owner === null ? null : this.trimAt(now));
      return { put, isForeign: true, fromLog: () => this.#known.trimAtRest(put, now) };
    });
  }
}

/** The place after which the page begins. */
function placeOf(cursor: string | undefined): DuePlace {
  if (cursor === undefined) return FIRST;
  const [time, id = ''] = cursor.split(' ');
  return [Number(time), id];
}
