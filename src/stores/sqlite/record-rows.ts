/** Converts records to rows and back. */
import { BoundedMap } from '../../bounded-map.ts';
import { createHash } from 'node:crypto';
import { internal } from '../../errors.ts';
import {
  RECORD_VERSION,
  type Handshake,
  type NewSessionRecord,
  type RecordPatch,
  type SessionRecord,
} from '../store.ts';
import type { Database } from './database.ts';
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
  version: string,
  handshake: string,
  answer: string,
  initialized: number,
  logLevel: string | null,
  getStream: number,
  createdAt: number,
  activeAt: number,
  expiresAt: number | null,
  state: string | null,
  expired: number,
  /** The rows of `subscriptions`: JSON of `[no, uri]` pairs. */
  subscriptions: string | null,
];

export interface HeldSession {
  readonly no: number;
  readonly record: SessionRecord;
  /** The store has answered that this session expired. */
  readonly expired: boolean;
}

export function heldSession(row: RecordRow, path: string): HeldSession {
  const [no, v, id, epoch, owner, user, version, handshake, answer, initialized, logLevel] = row;
  const [getStream, createdAt, activeAt, expiresAt, state] = [row[11], row[12], row[13], row[14], row[15]];
  if (v > RECORD_VERSION) throw newerRecord(path, id, v, RECORD_VERSION);
  const record: SessionRecord = {
    v,
    id,
    epoch,
    owner,
    user,
    version,
    handshake: JSON.parse(handshake) as Handshake,
    answer,
    initialized: initialized === 1,
    logLevel,
    subscriptions: subscriptionsOf(row[17]),
    state: state === null ? {} : (JSON.parse(state) as Record<string, string>),
    getStream: getStream === 1,
    createdAt,
    activeAt,
    expiresAt,
  };
  return { no, record, expired: row[16] === 1 };
}

function subscriptionsOf(rows: string | null): readonly string[] {
  if (rows === null) return [];
  const pairs = JSON.parse(rows) as Array<[no: number, uri: string]>;
  return pairs.sort(([a], [b]) => a - b).map(([, uri]) => uri);
}

/** A copy of a record or patch for the end of the turn, because the caller may change its lists. */
export function keep<T extends Pick<RecordPatch | NewSessionRecord, 'subscriptions' | 'state'>>(given: T): T {
  const { subscriptions, state } = given;
  return {
    ...given,
    ...(subscriptions && { subscriptions: [...subscriptions] }),
    ...(state && { state: { ...state } }),
  };
}

/** Runs within a transaction. */
export function insertRecord(
  database: Database,
  deployment: number,
  record: NewSessionRecord,
  expiresAt: number | null,
): void {
  const { lastInsertRowid } = database.change(SQL.createSession, [
    deployment,
    record.id,
    record.v,
    record.epoch,
    record.owner,
    plain('user', record.user),
    plain('version', record.version),
    intern(database, JSON.stringify(record.handshake)),
    intern(database, record.answer),
    record.initialized ? 1 : 0,
    record.logLevel,
    record.getStream ? 1 : 0,
    record.createdAt,
    record.activeAt,
    expiresAt,
  ]);
  writeState(database, lastInsertRowid, record.state);
  for (const uri of record.subscriptions) database.run(SQL.subscribe, [lastInsertRowid, JSON.stringify(uri)]);
}

/** Runs within a transaction. Writes only the fields that the patch has. `now`: the store's clock. */
export function patchRecord(database: Database, no: number, patch: RecordPatch, now: number): void {
  const values: Partial<Record<SavedColumn, Value>> = {};
  if (patch.version !== undefined) values.version = plain('version', patch.version);
  if (patch.answer !== undefined) values.answer = intern(database, patch.answer);
  if (patch.initialized !== undefined) values.initialized = patch.initialized ? 1 : 0;
  if (patch.logLevel !== undefined) values.log_level = patch.logLevel;
  if (patch.getStream !== undefined) values.get_stream = patch.getStream ? 1 : 0;
  if (patch.activeAt !== undefined) values.active_at = patch.activeAt;
  const { expiresInMs } = patch;
  if (expiresInMs !== undefined) values.expires_at = expiresInMs === null ? null : now + expiresInMs;
  const columns = SAVED_COLUMNS.filter((column) => values[column] !== undefined);
  if (columns.length > 0) database.run(saveColumns(columns), [...columns.map((column) => values[column] ?? null), no]);
  if (patch.state !== undefined) writeState(database, no, patch.state);
  for (const [uri, subscribed] of patch.subscriptions ?? [])
    database.run(subscribed ? SQL.subscribe : SQL.unsubscribe, [no, JSON.stringify(uri)]);
}

/** One row per key, so that changing one key rewrites one row. */
function writeState(database: Database, no: number, state: Readonly<Record<string, string | null>>): void {
  for (const [key, value] of Object.entries(state)) {
    if (value === null) database.run(SQL.deleteState, [no, JSON.stringify(key)]);
    else database.run(SQL.setState, [no, JSON.stringify(key), value]);
  }
}

/** The row of a text that sessions share. */
function intern(database: Database, text: string): number {
  const hash = hashOf(text);
  const known = database.one<[number]>(SQL.text, [hash]);
  return known === undefined ? database.change(SQL.makeText, [hash, text]).lastInsertRowid : known[0];
}

/** Hashes of texts that recur. */
const hashes = new BoundedMap<string, Uint8Array>(64);

function hashOf(text: string): Uint8Array {
  const known = hashes.get(text);
  if (known !== undefined) return known;
  const hash = createHash('sha256').update(text).digest();
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
