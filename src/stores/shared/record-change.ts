/** A record after a write. Records are never changed in place, so a record that was read stays the same. */
import type { NewRecord, RecordChange, StoredRecord } from '../store.ts';

/** `now`: the store's clock. */
export function changedRecord(record: StoredRecord, change: RecordChange, now: number): StoredRecord {
  return {
    ...record,
    head: change.head ?? record.head,
    stamp: change.stamp ?? record.stamp,
    fields: change.fields === undefined ? record.fields : changedFields(record.fields, change.fields),
    expiresAt: change.expiresInMs === undefined ? record.expiresAt : expiryAfter(change.expiresInMs, now),
  };
}

export const expiryAfter = (ms: number | null, now: number): number | null => (ms === null ? null : now + ms);

/** A record with its own fields: the caller may change the object that it passed. */
export function copyRecord(record: NewRecord, expiresAt: number | null): StoredRecord {
  return { ...record, fields: changedFields(NO_FIELDS, record.fields), expiresAt };
}

/** Shared, because most sessions have none. */
const NO_FIELDS: StoredRecord['fields'] = Object.freeze({});

/** `fromEntries` makes own properties of all names, `__proto__` included. */
export function changedFields(
  fields: StoredRecord['fields'],
  changes: Readonly<Record<string, string | null>>,
): StoredRecord['fields'] {
  const next = new Map(Object.entries(fields));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  return next.size === 0 ? NO_FIELDS : Object.fromEntries(next);
}
