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
 * - `sessions`: sessions that have not ended. Triggers delete what belongs to a deleted session. `expired`: a reader
 *   got the answer that the session has expired, so it stays expired whatever the clock says.
 * - `texts`: the bodies of sessions, one row for equal ones. A row is deleted with the last session that uses it.
 * - `events`: a row for each append, in the order of writing (`no`, and with it `at`). Several messages are joined by
 *   U+001E, which JSON cannot contain. An append touches the last page of the table, which all sessions share, and one
 *   page of the index. `n` and `bytes` are in the index, so that retention is computed without the rows.
 * - `secrets`: rotated ones are forgotten at `forget_at`.
 * - `open_streams`: streams that are not complete. A stream that has events and no row here is complete. `mark` is the
 *   marker of the first append. Most markers end with their stream and so need no row in `markers`.
 * - `instances`: leases. Rows of dead leases stay, so that their ids are not used again. `ends` is on the machine's
 *   clock.
 *
 * SQLite reads text only up to U+0000. Request ids in markers are JSON text.
 */
const FIRST = `
CREATE TABLE deployments (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  sessions INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE secrets (
  deployment INTEGER NOT NULL,
  name TEXT NOT NULL,
  value BLOB NOT NULL,
  forget_at REAL,
  PRIMARY KEY (deployment, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE texts (
  no INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
  no INTEGER PRIMARY KEY,
  deployment INTEGER NOT NULL,
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
  expired INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX sessions_by_id ON sessions (deployment, id);
CREATE INDEX sessions_by_expiry ON sessions (deployment, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX sessions_by_body ON sessions (body);

CREATE TABLE fields (
  session INTEGER NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (session, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE markers (
  session INTEGER NOT NULL,
  request TEXT NOT NULL,
  stream TEXT NOT NULL,
  PRIMARY KEY (session, request, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE open_streams (
  session INTEGER NOT NULL,
  stream TEXT NOT NULL,
  next INTEGER NOT NULL,
  requests TEXT,
  mark TEXT,
  PRIMARY KEY (session, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  no INTEGER PRIMARY KEY,
  session INTEGER NOT NULL,
  stream TEXT NOT NULL,
  position INTEGER NOT NULL,
  n INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  at REAL NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_stream ON events (session, stream, position, n, bytes);

CREATE TABLE ended (
  deployment INTEGER NOT NULL,
  id TEXT NOT NULL,
  v INTEGER NOT NULL,
  reason TEXT NOT NULL,
  at REAL NOT NULL,
  forget_at REAL NOT NULL,
  PRIMARY KEY (deployment, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_by_forget ON ended (forget_at);

CREATE TABLE instances (
  deployment INTEGER NOT NULL,
  id TEXT NOT NULL,
  state TEXT NOT NULL,
  version TEXT NOT NULL,
  renewals INTEGER NOT NULL,
  lease_ms REAL NOT NULL,
  boot TEXT NOT NULL,
  ends REAL NOT NULL,
  announced_at REAL NOT NULL,
  address TEXT,
  PRIMARY KEY (deployment, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER session_created AFTER INSERT ON sessions BEGIN
  UPDATE deployments SET sessions = sessions + 1 WHERE no = new.deployment;
END;

CREATE TRIGGER session_gone AFTER DELETE ON sessions BEGIN
  UPDATE deployments SET sessions = sessions - 1 WHERE no = old.deployment;
  DELETE FROM fields WHERE session = old.no;
  DELETE FROM markers WHERE session = old.no;
  DELETE FROM open_streams WHERE session = old.no;
  DELETE FROM events WHERE session = old.no;
  DELETE FROM texts WHERE no = old.body AND NOT EXISTS (SELECT 1 FROM sessions WHERE body = texts.no);
END;
`;

/** In order; the first has number 1. */
export const MIGRATIONS: readonly Migration[] = [{ breaking: true, sql: FIRST }];
