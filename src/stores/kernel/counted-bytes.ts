/**
 * What rows and entries count in the share of their user: their texts, and what a store takes beside these for keys,
 * times and orders. A change of a number here is another format: the numbers in a store would no longer fit its rows.
 */
import type { AppendRequest, KeptByAll, StoredRecord } from '../store.ts';
import type { LogEntry, Row } from './backend.ts';

/** Redis takes 500 to 800 bytes for a small row, PostgreSQL 600 with its indexes. */
const ROW_BYTES = 1_024;
/** An ended row has no texts but its outcome. */
const ENDED_BYTES = 512;
/** Redis takes some 60 bytes for an entry, PostgreSQL 150. */
const ENTRY_BYTES = 128;

/** The bytes of a row, its log not included. A row that is in no share counts nothing. */
export function rowBytes(row: Row | null | undefined): number {
  if (!row || row.share === null) return 0;
  const { fence, value } = row;
  if (fence === null && 'outcome' in value) return ENDED_BYTES + Buffer.byteLength(value.outcome);
  const { head, body, fields } = value as StoredRecord;
  let bytes = ROW_BYTES + Buffer.byteLength(head) + Buffer.byteLength(body);
  for (const name of Object.keys(fields))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(fields[name] ?? '');
  return bytes;
}

export function entryBytes({ head }: Pick<LogEntry, 'head'>): number {
  const more = head[4];
  if (more === undefined) return ENTRY_BYTES + head[2];
  const { note = '', state } = more;
  return (
    ENTRY_BYTES + head[2] + note.length + (state === undefined ? 0 : JSON.stringify(state).length)
  );
}

/** What the entry of an append will count. */
export function requestBytes({ events = [], note = '' }: AppendRequest): number {
  let bytes = ENTRY_BYTES + note.length;
  for (const event of events) bytes += Buffer.byteLength(event);
  return bytes;
}

export const entriesBytes = (entries: readonly Pick<LogEntry, 'head'>[]): number =>
  entries.reduce((sum, entry) => sum + entryBytes(entry), 0);

type KeptShare = KeptByAll['shares'][number];

/** The order of `keptByAll`. */
export const byBytes = (a: KeptShare, b: KeptShare): number =>
  b.bytes - a.bytes || (a.share < b.share ? -1 : 1);
