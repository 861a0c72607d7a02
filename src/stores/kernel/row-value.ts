/** What a row says: a living record, an expired record, or how a record ended. Pure functions. */
import { systemRandom } from '../../base/system.ts';
import type { EndedRecord, FoundRecord, Kind, Ownership, StoredRecord } from '../store.ts';
import { wakeTime } from '../shared/record-change.ts';
import type { Row } from './backend.ts';

/**
 * The fence of a record that a reader has found expired. It is stored before the reader gets its
 * answer, so a renewal that is under way is refused. No owner has this fence.
 */
export const OVER = 'over';

/** An expiry that moves makes another fence: what knows the earlier one would write past the end of the record. */
export function fenceText({
  epoch,
  owner,
  expiresAt,
}: Pick<StoredRecord, keyof Ownership | 'expiresAt'>): string {
  const text = `${epoch} ${owner ?? ''}`;
  return expiresAt === null ? text : `${text} ${expiresAt}`;
}

/** `trimAt`: when its log is looked at; null: never. */
export function livingRow(record: StoredRecord, trimAt: number | null): Row {
  const version = newVersion();
  const wakeAt = wakeTime({ expiresAt: wakeTime(record), dueAt: trimAt });
  return {
    id: record.id,
    version,
    fence: fenceText(record),
    wakeAt,
    share: record.share,
    value: record,
  };
}

/**
 * The row with another fence: what its owner has sent before is refused, and the owner reads the row and the log again.
 */
export function fencedRow(record: StoredRecord, trimAt: number | null): Row {
  const row = livingRow(record, trimAt);
  return { ...row, fence: `${row.fence} ${row.version}` };
}

/** The row woke, and not for its record. */
export function wokeForLog(row: Row, now: number): boolean {
  const record = livingOf(row, now);
  return (
    record !== undefined && (wakeTime(record) ?? Infinity) > now && (row.wakeAt ?? Infinity) <= now
  );
}

/** A step through all 32 bits. Each process begins at another number. */
const STEP = 0x9e37_79b1;
let newest = systemRandom(4).reduce((sum, byte) => sum * 256 + byte, 0);

/**
 * Each put takes another version. So a late write fits no later row, a row that was deleted and made again included,
 * and a process recognises what it has written by its version. At most 30 bits: more take an object in the heap.
 */
function newVersion(): number {
  newest = (newest + STEP) % 2 ** 32;
  return 1 + (newest % 2 ** 30);
}

export function overRow(row: Row): Row {
  return { ...row, version: newVersion(), fence: OVER };
}

/** It wakes when it is to be forgotten. */
export function endedRow(ended: EndedRecord, forgetAt: number, share: string | null): Row {
  return {
    id: ended.id,
    version: newVersion(),
    fence: null,
    wakeAt: forgetAt,
    share,
    value: ended,
  };
}

export const fits = ({ epoch, owner }: Ownership, from: Ownership): boolean =>
  epoch === from.epoch && owner === from.owner;

/** The record of a row that has not been ended. */
export const recordOf = ({ fence, value }: Row): StoredRecord | undefined =>
  fence === null ? undefined : (value as StoredRecord);

export function isExpired({ fence, value }: Row, now: number): boolean {
  if (fence === null) return false;
  const { expiresAt } = value as StoredRecord;
  return fence === OVER || (expiresAt !== null && expiresAt <= now);
}

/** The record, if it has neither ended nor expired. */
export function livingOf(row: Row | undefined, now: number): StoredRecord | undefined {
  return row === undefined || isExpired(row, now) ? undefined : recordOf(row);
}

/** What a reader finds. */
export function shownOf(row: Row | undefined, now: number, { keepMs }: Kind): FoundRecord {
  if (row === undefined) return undefined;
  const { fence, value, wakeAt } = row;
  if (fence === null) return (wakeAt ?? 0) > now ? value : undefined;
  if (!isExpired(row, now)) return value;
  // Every reader sees that it ended at its expiry, without an outcome.
  const at = (value as StoredRecord).expiresAt ?? now;
  return at + keepMs > now ? { id: row.id, outcome: '', at } : undefined;
}
