/** Converts records to rows, and back. */
import { RECORD_VERSION, type EndedRecord, type NewRecord, type RecordChange, type StoredRecord } from '../store.ts';
import { expiredRecord } from '../shared/expired-record.ts';
import { newerRecord } from '../shared/failures.ts';
import type { Row, Value } from './pg.ts';
import { SAVED_COLUMNS, type SavedColumn, type SaveParts } from './record-statements.ts';

/** The columns of `record`. */
type RecordRow = readonly [
  id: string,
  v: string,
  epoch: string,
  owner: string | null,
  user: string | null,
  head: string,
  body: string | null,
  fields: string | null,
  createdAt: string,
  stamp: string,
  expiresAt: string | null,
  dueAt: string | null,
  rung: string,
  outcome: string | null,
  endedAt: string | null,
  over: string,
  expired: string,
];

/** The columns of `claimed` that follow those of `record`: the marks, the ms until the expiry, the open streams. */
export const MARKS = 17;
export const EXPIRES_IN = 18;
export const STREAMS = 19;

export interface ReadRecord {
  readonly value: StoredRecord | EndedRecord;
  /** Expired, and the end is not stored yet. */
  readonly expiring: boolean;
}

export function readRecord(row: Row, place: string): ReadRecord {
  const [id, v, epoch, owner, user, head, body, fields, ...others] = row as unknown as RecordRow;
  const [createdAt, stamp, expiresAt, dueAt, rung, outcome, endedAt, over, expired] = others;
  if (Number(v) > RECORD_VERSION) throw newerRecord(place, id, Number(v), RECORD_VERSION);
  if (outcome !== null) return { value: { id, outcome, at: Number(endedAt) }, expiring: false };
  if (over === 't') return { value: expiredRecord(id, Number(expiresAt)), expiring: expired === 'f' };
  const value: StoredRecord = {
    v: Number(v),
    id,
    epoch: Number(epoch),
    owner,
    user: user === null ? null : (JSON.parse(user) as string),
    head,
    // The row of the body may have been deleted by hand.
    body: body ?? '',
    fields: fields === null ? {} : (JSON.parse(fields) as Record<string, string>),
    createdAt: Number(createdAt),
    stamp: Number(stamp),
    expiresAt: expiresAt === null ? null : Number(expiresAt),
    dueAt: dueAt === null ? null : Number(dueAt),
    rung: Number(rung),
  };
  return { value, expiring: false };
}

/** The values of `create`. */
export function createValues(
  space: string,
  record: NewRecord,
  keepMs: number,
  expiresInMs: number | null,
  dueInMs: number | null,
): Value[] {
  return [
    space,
    record.id,
    record.v,
    record.epoch,
    record.owner,
    record.user === null ? null : JSON.stringify(record.user),
    record.head,
    record.createdAt,
    record.stamp,
    expiresInMs,
    record.body,
    keepMs,
    Object.keys(record.fields),
    Object.values(record.fields),
    dueInMs,
  ];
}

/** Only what the change names. `values`: those after the fence. */
export function saveOf({ release, head, stamp, fields = {}, expiresInMs, due }: RecordChange): {
  readonly parts: SaveParts;
  readonly values: readonly Value[];
} {
  const set: Partial<Record<SavedColumn, Value>> = {};
  if (head !== undefined) set.head = head;
  if (stamp !== undefined) set.stamp = stamp;
  if (expiresInMs !== undefined) set.expires_at = expiresInMs;
  if (due !== undefined) set.due_at = due.inMs;
  const columns = SAVED_COLUMNS.filter((column) => set[column] !== undefined);
  const values: Value[] = columns.map((column) => set[column] ?? null);
  if (due !== undefined) values.push(due.seen);
  const changes = Object.entries(fields);
  if (changes.length > 0) {
    const kept = changes.filter((entry): entry is [string, string] => entry[1] !== null);
    const gone = changes.filter(([, value]) => value === null);
    values.push(
      kept.map(([name]) => name),
      kept.map(([, value]) => value),
      gone.map(([name]) => name),
    );
  }
  return { parts: { columns, release: release === true, fields: changes.length > 0 }, values };
}
