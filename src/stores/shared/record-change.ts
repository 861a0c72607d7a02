/** A record after a write. Records are never changed in place, so a record that was read stays the same. */
import type { NewRecord, RecordChange, SaveOutcome, StoredRecord } from '../store.ts';

export type Fields = StoredRecord['fields'];

/** `now`: the store's clock. */
export function changedRecord(
  record: StoredRecord,
  change: RecordChange,
  now: number,
): StoredRecord {
  return {
    ...record,
    owner: change.release === true ? null : record.owner,
    head: change.head ?? record.head,
    stamp: change.stamp ?? record.stamp,
    fields:
      change.fields === undefined ? record.fields : changedFields(record.fields, change.fields),
    expiresAt:
      change.expiresInMs === undefined ? record.expiresAt : timeAfter(change.expiresInMs, now),
    dueAt:
      change.due === undefined
        ? record.dueAt
        : saved(record, change) === 'rung'
          ? now
          : timeAfter(change.due.inMs, now),
  };
}

/** Whether this change, or an equal one, has made the record what it is. */
export const holdsChange = (
  record: StoredRecord,
  { head, stamp, fields = {} }: RecordChange,
): boolean =>
  record.head === (head ?? record.head) &&
  record.stamp === (stamp ?? record.stamp) &&
  Object.entries(fields).every(([name, text]) => (record.fields[name] ?? null) === text);

/** What a save of this change answers. */
export const saved = ({ rung }: StoredRecord, { due }: RecordChange): SaveOutcome =>
  due === undefined || due.seen === rung ? 'written' : 'rung';

/** In whole ms: the clock of a server has parts of them, and people read the times. */
export const timeAfter = (ms: number | null, now: number): number | null =>
  ms === null ? null : Math.floor(now + ms);

/** A record after `add`. */
export function rungRecord(
  record: StoredRecord,
  field: string,
  text: string,
  now: number,
): StoredRecord {
  const fields = changedFields(record.fields, { [field]: text });
  return { ...record, fields, rung: record.rung + 1, dueAt: Math.min(record.dueAt ?? now, now) };
}

/** The earlier of expiry and due time; `null`: neither. */
export function wakeTime({
  expiresAt,
  dueAt,
}: Pick<StoredRecord, 'expiresAt' | 'dueAt'>): number | null {
  return expiresAt === null || dueAt === null ? (expiresAt ?? dueAt) : Math.min(expiresAt, dueAt);
}

/** A record as it was created, without its times, and with its own fields: the caller may change what it passed. */
export function newRecord(record: NewRecord): StoredRecord {
  const { v, id, epoch, owner, user, share = null, head, body, createdAt, stamp } = record;
  const fields = changedFields(NO_FIELDS, record.fields);
  // A spread of the record costs 3 µs more here.
  const times = { createdAt, stamp, expiresAt: null, dueAt: null };
  return { v, id, epoch, owner, user, share, head, body, fields, ...times, rung: 0 };
}

/** Shared, because most sessions have none. */
const NO_FIELDS: Fields = Object.freeze({});

/** `fromEntries` makes own properties of all names, `__proto__` included. */
export function changedFields(
  fields: Fields,
  changes: Readonly<Record<string, string | null>>,
): Fields {
  const changed = Object.entries(changes);
  if (changed.length === 0) return fields;
  const next = new Map(Object.entries(fields));
  for (const [name, value] of changed) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  return next.size === 0 ? NO_FIELDS : Object.fromEntries(next);
}
