/**
 * All SQL statements, by purpose. Parameters are numbered if one is used twice; `FENCED` uses 1 to 5. Times are
 * parameters, because SQLite's own clock does not follow an injected one.
 */
import { LEASES } from '../shared/instances.ts';

/** ?1 space, ?2 id, ?3 epoch, ?4 owner, ?5 now. */
const FENCED = `space = ?1 AND id = ?2 AND epoch = ?3 AND owner = ?4 AND expired = 0
    AND (expires_at IS NULL OR expires_at > ?5)`;

/** The same for a known row: ?1 no, ?2 space, ?3 id, ?4 epoch, ?5 owner, ?6 now. */
const FENCED_ROW = `no = ?1 AND space = ?2 AND id = ?3 AND epoch = ?4 AND owner = ?5 AND expired = 0
    AND (expires_at IS NULL OR expires_at > ?6)`;

/** ?1 space, ?2 id, ?3 now. */
const LIVING = 'space = ?1 AND id = ?2 AND expired = 0 AND (expires_at IS NULL OR expires_at > ?3)';

/**
 * A whole record in one row, so that all of it is from one moment. The fields are a JSON object.
 */
const RECORD = `
  SELECT s.no, s.v, s.id, s.epoch, s.owner, s.user, s.head, b.text, s.created_at, s.stamp, s.expires_at, s.due_at, s.rung,
    (SELECT '{' || group_concat(json_quote(name) || ':' || json_quote(value)) || '}' FROM fields WHERE record = s.no),
    s.expired
  FROM records s JOIN bodies b ON b.no = s.body`;

/** `ids`: a condition on the ids, with its parameters between the space and the time. */
const listed = (ids: string): string => `${RECORD}
    WHERE s.space = ? AND ${ids} AND s.expired = 0 AND (s.expires_at IS NULL OR s.expires_at > ?)
    ORDER BY s.id LIMIT ?`;

/** The names of spaces are JSON lists of a deployment and a kind (`sqlite-store.ts`). */
const LEASE_SPACES = `(SELECT no FROM spaces WHERE name LIKE '%,"${LEASES.name}"]')`;

/**
 * Each append of a record from the row `first` on, with the number and bytes of later events, which retention needs.
 * ?1 record. The plus makes SQLite use the index of the record instead of the row numbers.
 */
const later = (first: string): string => `
  SELECT no, stream, sum(n) OVER newer - n AS later, sum(bytes) OVER newer - bytes AS later_bytes
  FROM events WHERE record = ?1 AND +no >= ${first}
  WINDOW newer AS (ORDER BY no DESC ROWS UNBOUNDED PRECEDING)`;
const FIRST_OF_STREAM = '(SELECT min(no) FROM events WHERE record = ?1 AND stream = ?2)';

export const SQL = {
  // ——— schema ———
  applicationId: 'PRAGMA application_id',
  anyTable: "SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' LIMIT 1",
  createMigrations: `CREATE TABLE migrations (
    no INTEGER PRIMARY KEY, breaking INTEGER NOT NULL, taken_at REAL NOT NULL
  ) STRICT`,
  lastMigration: 'SELECT max(no) FROM migrations',
  lastBreaking: 'SELECT max(no) FROM migrations WHERE breaking = 1',
  migrated: 'INSERT INTO migrations (no, breaking, taken_at) VALUES (?, ?, ?)',

  // ——— spaces ———
  space: 'SELECT no FROM spaces WHERE name = ?',
  makeSpace: 'INSERT INTO spaces (name) VALUES (?) ON CONFLICT DO NOTHING',

  // ——— records ———
  body: 'SELECT no FROM bodies WHERE hash = ?',
  makeBody: 'INSERT INTO bodies (hash, text) VALUES (?, ?)',
  takeRoom: 'INSERT OR REPLACE INTO bodies (hash, text) VALUES (?, ?)',
  giveRoom: 'DELETE FROM bodies WHERE hash = ?',
  createRecord: `INSERT INTO records
    (space, id, v, epoch, owner, user, head, body, created_at, stamp, expires_at, due_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  record: `${RECORD} WHERE s.space = ? AND s.id = ?`,
  ownership: 'SELECT no, epoch, owner, stamp, expires_at, expired FROM records WHERE space = ? AND id = ?',
  fenced: `SELECT no FROM records WHERE ${FENCED}`,
  claim: 'UPDATE records SET epoch = epoch + 1, owner = ? WHERE no = ?',
  expire: 'UPDATE records SET expired = 1 WHERE space = ? AND id = ? AND expires_at <= ?',
  deleteRecord: 'DELETE FROM records WHERE no = ?',
  setField: `INSERT INTO fields (record, name, value) VALUES (?, ?, ?)
    ON CONFLICT (record, name) DO UPDATE SET value = excluded.value`,
  deleteField: 'DELETE FROM fields WHERE record = ? AND name = ?',
  listRecords: listed('s.id > ?'),
  listGroup: listed('s.id > ? AND s.id < ?'),
  countAll: 'SELECT count(*) FROM records WHERE space = ?',
  countGroup: 'SELECT count(*) FROM records WHERE space = ? AND id > ? AND id < ?',
  living: `SELECT no FROM records WHERE ${LIVING}`,
  addField: 'INSERT INTO fields (record, name, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
  /** ?1 no, ?2 now. */
  ring: 'UPDATE records SET rung = rung + 1, due_at = min(coalesce(due_at, ?2), ?2) WHERE no = ?1',
  rung: 'SELECT rung FROM records WHERE no = ?',
  /** ?1 space, ?2 now, ?3 and ?4 time and row after which the page begins, ?5 how many. */
  due: `SELECT no, id, epoch, owner, wakes_at, expired = 1 OR coalesce(expires_at <= ?2, 0) FROM records
    WHERE space = ?1 AND wakes_at <= ?2 AND (wakes_at, no) > (?3, ?4) ORDER BY wakes_at, no LIMIT ?5`,
  /** ?1 space, ?2 the expiry until which they go, ?3 how many. */
  trimExpired: `DELETE FROM records WHERE no IN
    (SELECT no FROM records WHERE space = ?1 AND wakes_at <= ?2 AND expires_at <= ?2 ORDER BY wakes_at LIMIT ?3)`,
  ended: 'SELECT outcome, at, forget_at FROM ended WHERE space = ? AND id = ?',
  makeEnded: 'INSERT OR REPLACE INTO ended (space, id, outcome, at, forget_at) VALUES (?, ?, ?, ?, ?)',
  /** Only while it shows. */
  dropEnded: 'DELETE FROM ended WHERE space = ? AND id = ? AND at = ? AND forget_at > ?',
  trimEnded: `DELETE FROM ended WHERE (space, id) IN
    (SELECT space, id FROM ended WHERE forget_at <= ? ORDER BY forget_at LIMIT ?)`,

  // ——— marks ———
  mark: `INSERT INTO marks (record, name, stream) SELECT ?1, ?2, ?3
    WHERE NOT EXISTS (SELECT 1 FROM open_streams WHERE record = ?1 AND mark = ?2 AND stream = ?3)
    ON CONFLICT DO NOTHING`,
  unmark: 'DELETE FROM marks WHERE record = ? AND name = ? AND stream = ?',
  unmarkOpen: 'UPDATE open_streams SET mark = NULL WHERE record = ? AND mark = ? AND stream = ?',
  marks: `SELECT name, stream FROM marks WHERE record = ?1
    UNION ALL SELECT mark, stream FROM open_streams WHERE record = ?1 AND mark IS NOT NULL`,

  // ——— events ———
  /** Finds the record of a new stream, ?6, that is neither open nor known. */
  newStream: `SELECT no FROM records WHERE ${FENCED}
    AND NOT EXISTS (SELECT 1 FROM open_streams WHERE record = records.no AND stream = ?6)
    AND NOT EXISTS (SELECT 1 FROM events WHERE record = records.no AND stream = ?6)`,
  /** The length and mark of an open stream, and whether the stream has events. */
  stream: `SELECT (SELECT next FROM open_streams WHERE record = ?1 AND stream = ?2),
    (SELECT mark FROM open_streams WHERE record = ?1 AND stream = ?2),
    EXISTS (SELECT 1 FROM events WHERE record = ?1 AND stream = ?2)`,
  addEvents: 'INSERT INTO events (record, stream, position, n, bytes, at, data) VALUES (?, ?, ?, ?, ?, ?, ?)',
  /** Opens a new stream. ?7 stream, ?8 its length, ?9 note, ?10 mark. */
  openAtOnce: `INSERT INTO open_streams (record, stream, next, note, mark)
    SELECT no, ?7, ?8, ?9, CASE
      WHEN EXISTS (SELECT 1 FROM marks WHERE record = ?1 AND name = ?10 AND stream = ?7) THEN NULL ELSE ?10 END
    FROM records WHERE ${FENCED_ROW} AND NOT EXISTS (SELECT 1 FROM events WHERE record = ?1 AND stream = ?7)
    ON CONFLICT DO NOTHING`,
  /** ?7 stream, ?8 its length before, ?9 its length after, ?10 note. */
  growAtOnce: `UPDATE open_streams SET next = ?9, note = coalesce(note, ?10)
    WHERE record = (SELECT no FROM records WHERE ${FENCED_ROW}) AND stream = ?7 AND next = ?8`,
  /** Completes a stream that has this mark or none. ?7 stream, ?8 its length before, ?9 mark. */
  completeAtOnce: `DELETE FROM open_streams
    WHERE record = (SELECT no FROM records WHERE ${FENCED_ROW}) AND stream = ?7 AND next = ?8 AND mark IS ?9`,
  setStream: `INSERT INTO open_streams (record, stream, next, note) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET next = excluded.next, note = coalesce(note, excluded.note)`,
  completeStream: 'DELETE FROM open_streams WHERE record = ? AND stream = ?',
  openStreams: 'SELECT stream, next, note FROM open_streams WHERE record = ?',
  /** ?4 stream. */
  streamOf: `SELECT no, (SELECT next FROM open_streams WHERE record = records.no AND stream = ?4)
    FROM records WHERE ${LIVING}`,
  replay: `SELECT position, n, at, later, later_bytes, data
    FROM (${later(FIRST_OF_STREAM)}) AS log JOIN events USING (no) WHERE log.stream = ?2 ORDER BY position`,
  trimRecord: `DELETE FROM events WHERE no IN (SELECT no FROM (${later('0')}) WHERE later >= ?2 OR later_bytes > ?3)`,
  /**
   * Looks at the next ?3 rows of all records: the last row before one younger than ?2, and whether there is a younger
   * one.
   */
  oldRows: `SELECT coalesce(min(no) FILTER (WHERE at > ?2) - 1, max(no)), count(*) FILTER (WHERE at > ?2)
    FROM (SELECT no, at FROM events WHERE no > ?1 ORDER BY no LIMIT ?3)`,
  /** The last row up to ?, and when it was written. */
  rowUpTo: 'SELECT no, at FROM events WHERE no <= ? ORDER BY no DESC LIMIT 1',
  trimEvents: `DELETE FROM events WHERE no > ? AND no <= ? AND at <= ?
    AND EXISTS (SELECT 1 FROM records WHERE no = events.record AND space = ?)`,

  // ——— leases ———
  leaseClock: 'SELECT boot, base, lease_ms FROM lease_clock',
  setLeaseClock: 'INSERT OR REPLACE INTO lease_clock (no, boot, base, lease_ms) VALUES (1, ?, ?, ?)',
  lastLease: `SELECT max(expires_at) FROM records WHERE space IN ${LEASE_SPACES}`,
  /** ?1 boot, ?2 now on the machine's clock. */
  anyLease: `SELECT id FROM records WHERE space IN ${LEASE_SPACES} AND expired = 0
    AND expires_at > ?2 + (SELECT base FROM lease_clock WHERE boot = ?1)`,
} as const;

/** The columns that a save may set, in the order of their parameters. */
export const SAVED_COLUMNS = ['owner', 'head', 'stamp', 'expires_at', 'due_at'] as const;

export type SavedColumn = (typeof SAVED_COLUMNS)[number];

/** The same set of columns gives the same text, so that it is prepared once. */
export const saveColumns = (columns: readonly SavedColumn[]): string =>
  `UPDATE records SET ${columns.map((column) => `${column} = ?`).join(', ')} WHERE no = ?`;
