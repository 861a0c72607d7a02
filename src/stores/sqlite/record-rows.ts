/** Converts records to rows and back. */
import { digestOf } from '../../base/digest.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import { internal } from '../../errors.ts';
import { timeAfter } from '../shared/record-change.ts';
import { RECORD_VERSION, type NewRecord, type RecordChange, type SaveOutcome, type StoredRecord } from '../store.ts';
import type { SqliteDatabase } from './database.ts';
import { newerRecord } from '../shared/failures.ts';
import type { Value } from './libsql.ts';
import { SAVED_COLUMNS, SQL, saveColumns, type SavedColumn } from './statements.ts';

/** The columns of `SQL.record`. */
export type RecordRow = readonly [
  no: number,
  v: number,
  id: string,
  epoch: number,
  owner: string | null,
  user: string | null,
  head: string,
  body: string,
  createdAt: number,
  stamp: number,
  expiresAt: number | null,
  dueAt: number | null,
  rung: number,
  fields: string | null,
  expired: number,
];

export interface HeldRecord {
  readonly no: number;
  readonly record: StoredRecord;
  /** The store has answered that this record expired. */
  readonly expired: boolean;
}

export function heldRecord(row: RecordRow, path: string): HeldRecord {
  const [no, v, id, epoch, owner, user, head, body, createdAt, stamp, expiresAt, dueAt, rung, json, expired] = row;
  if (v > RECORD_VERSION) throw newerRecord(path, id, v, RECORD_VERSION);
  const fields = json === null ? {} : (JSON.parse(json) as Record<string, string>);
  const times = { createdAt, stamp, expiresAt, dueAt };
  return { no, record: { v, id, epoch, owner, user, head, body, fields, ...times, rung }, expired: expired === 1 };
}

/** A copy of a record or change for the end of the turn, because the caller may change its fields. */
export function keep<T extends Pick<RecordChange, 'fields'>>(given: T): T {
  return given.fields === undefined ? given : { ...given, fields: { ...given.fields } };
}

/** Runs within a transaction. */
export function insertRecord(
  database: SqliteDatabase,
  space: number,
  record: NewRecord,
  expiresAt: number | null,
  dueAt: number | null,
): void {
  const { lastInsertRowid } = database.change(SQL.createRecord, [
    space,
    record.id,
    record.v,
    record.epoch,
    record.owner,
    plain('user', record.user),
    plain('head', record.head),
    intern(database, plain('body', record.body)),
    record.createdAt,
    record.stamp,
    expiresAt,
    dueAt,
  ]);
  writeFields(database, lastInsertRowid, record.fields);
}

/** Runs within a transaction. Writes only what the change names. `now`: the store's clock. */
export function changeRecord(database: SqliteDatabase, no: number, change: RecordChange, now: number): SaveOutcome {
  const { release, head, stamp, fields, expiresInMs, due } = change;
  const rung = due === undefined ? undefined : database.one<[number]>(SQL.rung, [no])?.[0];
  const outcome = rung === due?.seen ? 'written' : 'rung';
  const values: Partial<Record<SavedColumn, Value>> = {};
  if (release === true) values.owner = null;
  if (head !== undefined) values.head = plain('head', head);
  if (stamp !== undefined) values.stamp = stamp;
  if (expiresInMs !== undefined) values.expires_at = timeAfter(expiresInMs, now);
  if (due !== undefined) values.due_at = outcome === 'rung' ? now : timeAfter(due.inMs, now);
  const columns = SAVED_COLUMNS.filter((column) => values[column] !== undefined);
  if (columns.length > 0) database.run(saveColumns(columns), [...columns.map((column) => values[column] ?? null), no]);
  if (fields !== undefined) writeFields(database, no, fields);
  return outcome;
}

/** One row per field, so that changing one field rewrites one row. */
function writeFields(database: SqliteDatabase, no: number, fields: Readonly<Record<string, string | null>>): void {
  for (const [name, value] of Object.entries(fields)) {
    if (value === null) database.run(SQL.deleteField, [no, name]);
    else database.run(SQL.setField, [no, name, value]);
  }
}

/** The row of a body that records share. */
function intern(database: SqliteDatabase, text: string): number {
  const hash = hashOf(text);
  const known = database.one<[number]>(SQL.body, [hash]);
  return known === undefined ? database.change(SQL.makeBody, [hash, text]).lastInsertRowid : known[0];
}

/** Hashes of bodies that recur. */
const hashes = new BoundedMap<string, Uint8Array>(64);

function hashOf(text: string): Uint8Array {
  const known = hashes.get(text);
  if (known !== undefined) return known;
  const hash = digestOf(text);
  hashes.set(text, hash);
  return hash;
}

/**
 * SQLite cuts text at U+0000, and a cut user name could be another user's. Text that cannot be stored exactly is
 * refused.
 */
function plain<T extends string | null>(member: string, text: T): T {
  if (text !== null && (text.includes('\0') || /\p{Surrogate}/u.test(text)))
    throw internal(new Error(`${member} of a record has a character that SQLite cannot keep: ${JSON.stringify(text)}`));
  return text;
}
