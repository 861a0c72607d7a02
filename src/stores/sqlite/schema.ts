/**
 * The tables, as numbered steps. A released step is never changed; a new step follows it.
 *
 * `breaking`: builds that do not know the step cannot use a file with it and refuse it. Such a step is taken only while
 * no instance of an older build has the file open.
 */
export interface Migration {
  readonly breaking: boolean;
  readonly sql: string;
}

/**
 * The tables:
 *
 * - `spaces`: a deployment, by its name; its records of one kind, by name and kind.
 * - `records`: records that have not ended. A trigger deletes what belongs to a deleted record. `expired`: a reader got
 *   the answer that the record has expired, so it stays expired whatever the clock says. `wakes_at`: the earlier of
 *   expiry and due time, computed and kept in its index only.
 * - `bodies`: the bodies of records, one row for equal ones. A row is deleted with the last record that uses it.
 * - `events`: a row for each append, in the order of writing (`no`, and with it `at`). Several messages are joined by
 *   U+001E, which JSON cannot contain. An append touches the last page of the table, which all records share, and one
 *   page of the index. `n` and `bytes` are in the index, so that retention is computed without the rows.
 * - `open_streams`: streams that are not complete. A stream that has events and no row here is complete. `mark` is the
 *   mark of the first append. Most marks end with their stream and so need no row in `marks`.
 * - `lease_clock`: one row (`lease-clock.ts`).
 *
 * SQLite reads text only up to U+0000. The names of marks are JSON text.
 */
const FIRST = `
CREATE TABLE spaces (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE bodies (
  no INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  text TEXT NOT NULL
) STRICT;

CREATE TABLE records (
  no INTEGER PRIMARY KEY,
  space INTEGER NOT NULL,
  id TEXT NOT NULL,
  v INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  owner TEXT,
  user TEXT,
  head TEXT NOT NULL,
  body INTEGER NOT NULL,
  created_at REAL NOT NULL,
  stamp REAL NOT NULL,
  expires_at REAL,
  due_at REAL,
  rung INTEGER NOT NULL DEFAULT 0,
  expired INTEGER NOT NULL DEFAULT 0,
  wakes_at REAL AS (min(coalesce(expires_at, due_at), coalesce(due_at, expires_at))) VIRTUAL
) STRICT;
CREATE UNIQUE INDEX records_by_id ON records (space, id);
CREATE INDEX records_by_time ON records (space, wakes_at) WHERE wakes_at IS NOT NULL;
CREATE INDEX records_by_body ON records (body);

CREATE TABLE fields (
  record INTEGER NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (record, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
  record INTEGER NOT NULL,
  name TEXT NOT NULL,
  stream TEXT NOT NULL,
  PRIMARY KEY (record, name, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE open_streams (
  record INTEGER NOT NULL,
  stream TEXT NOT NULL,
  next INTEGER NOT NULL,
  note TEXT,
  mark TEXT,
  PRIMARY KEY (record, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  no INTEGER PRIMARY KEY,
  record INTEGER NOT NULL,
  stream TEXT NOT NULL,
  position INTEGER NOT NULL,
  n INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  at REAL NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_stream ON events (record, stream, position, n, bytes);

CREATE TABLE ended (
  space INTEGER NOT NULL,
  id TEXT NOT NULL,
  outcome TEXT NOT NULL,
  at REAL NOT NULL,
  forget_at REAL NOT NULL,
  PRIMARY KEY (space, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_by_forget ON ended (forget_at);

CREATE TABLE lease_clock (
  no INTEGER PRIMARY KEY,
  boot TEXT NOT NULL,
  base REAL NOT NULL,
  lease_ms REAL NOT NULL
) STRICT;

CREATE TRIGGER record_gone AFTER DELETE ON records BEGIN
  DELETE FROM fields WHERE record = old.no;
  DELETE FROM marks WHERE record = old.no;
  DELETE FROM open_streams WHERE record = old.no;
  DELETE FROM events WHERE record = old.no;
  DELETE FROM bodies WHERE no = old.body AND NOT EXISTS (SELECT 1 FROM records WHERE body = bodies.no);
END;
`;

/** In order; the first has number 1. */
export const MIGRATIONS: readonly Migration[] = [{ breaking: true, sql: FIRST }];
