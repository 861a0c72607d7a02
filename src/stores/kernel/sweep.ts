/** Pages of due records, and what is to be forgotten of them. */
import { after, repeated } from '../shared/after.ts';
import type { DueRecord, Kind, MaybePromise, RecordPage } from '../store.ts';
import type { Backend, DuePlace, Row } from './backend.ts';
import { isExpired, recordOf, shownOf, wokeForLog } from './row-value.ts';

const FIRST: DuePlace = [-Number.MAX_VALUE, ''];
/** Ids are visible ASCII, so all are before this. */
export const LAST_ID = '\u007f';

/** The place after which the page begins. */
function placeOf(cursor: string | undefined): DuePlace {
  if (cursor === undefined) return FIRST;
  const [time, id = ''] = cursor.split(' ');
  return [Number(time), id];
}

/** `found`: called with each page of rows, those of ended records too, and those that woke for their logs alone. */
export function dueRecords(
  backend: Backend,
  kind: Kind,
  limit: number,
  cursor: string | undefined,
  now: number,
  found: (rows: readonly Row[]) => MaybePromise<void>,
): MaybePromise<RecordPage<DueRecord>> {
  let place = placeOf(cursor);
  return repeated<RecordPage<DueRecord>>(() =>
    after(backend.due(kind, place, now, limit), (rows) =>
      after(found(rows), () => {
        const records = rows.flatMap((row) => {
          const record = recordOf(row);
          if (record === undefined || wokeForLog(row, now)) return [];
          const { id, epoch, owner } = record;
          return [{ id, epoch, owner, expired: isExpired(row, now) }];
        });
        const last = rows.at(-1);
        if (rows.length < limit || last === undefined) return { records };
        place = [last.wakeAt ?? now, last.id];
        return records.length > 0 ? { records, nextCursor: place.join(' ') } : undefined;
      }),
    ),
  );
}

/** Ended records that show no more. An expired record that was not ended stays, if a sweep looks for it. */
export const forgotten = (rows: readonly Row[], kind: Kind, now: number): readonly Row[] =>
  rows.filter((row) => shownOf(row, now, kind) === undefined && (row.fence === null || !kind.listed));
