/**
 * The tables, as numbered steps. A step that was released is never changed: a new one follows it.
 *
 * `breaking`: builds that do not know the step cannot work with what it made. They refuse the file then; and the step is
 * only taken while no instance of an older build has it open.
 */
export interface Migration {
  readonly breaking: boolean;
  readonly sql: string;
}

/**
 * - `sessions`: those that have not ended. What goes with one goes by trigger, whoever deletes it. `expired`: a reader was
 *   told that the session has expired, and from then on it has, whatever the clock says.
 * - `texts`: handshakes and `initialize` answers, one row for all that are the same; gone with the last who refers to it.
 * - `events`: a row for each append, in the order of writing (`no`, and with it `at`); several messages are joined by
 *   U+001E, which JSON cannot contain; streams that begin and end in one turn share a row (`bundle-rows.ts`). An append
 *   touches the last page of the table, which all sessions share, and one of the index. `n` and `bytes` are in the index so
 *   that retention is judged without the rows.
 * - `open_streams`: streams that are not complete. A stream with events that is not here is complete. `mark` is the marker
 *   that came with the first append: most come and go with their stream, and cost no row of their own in `markers`.
 * - `instances`: leases. A dead one stays, so that its id is never taken again; `ends` is on the machine's clock.
 *
 * Names and keys that may contain anything are kept as JSON text: SQLite's text ends at U+0000 when it is read back.
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
  version TEXT NOT NULL,
  handshake INTEGER NOT NULL,
  answer INTEGER NOT NULL,
  initialized INTEGER NOT NULL,
  log_level TEXT,
  subscriptions TEXT,
  get_stream INTEGER NOT NULL,
  created_at REAL NOT NULL,
  active_at REAL NOT NULL,
  expires_at REAL
) STRICT;
CREATE UNIQUE INDEX sessions_by_id ON sessions (deployment, id);
CREATE INDEX sessions_by_expiry ON sessions (deployment, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX sessions_by_handshake ON sessions (handshake);
CREATE INDEX sessions_by_answer ON sessions (answer);

CREATE TABLE state (
  session INTEGER NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (session, key)
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
  DELETE FROM state WHERE session = old.no;
  DELETE FROM markers WHERE session = old.no;
  DELETE FROM open_streams WHERE session = old.no;
  DELETE FROM events WHERE session = old.no;
  DELETE FROM texts WHERE no IN (old.handshake, old.answer)
    AND NOT EXISTS (SELECT 1 FROM sessions WHERE handshake = texts.no)
    AND NOT EXISTS (SELECT 1 FROM sessions WHERE answer = texts.no);
END;

CREATE TRIGGER answer_changed AFTER UPDATE OF answer ON sessions WHEN old.answer <> new.answer BEGIN
  DELETE FROM texts WHERE no = old.answer
    AND NOT EXISTS (SELECT 1 FROM sessions WHERE handshake = texts.no)
    AND NOT EXISTS (SELECT 1 FROM sessions WHERE answer = texts.no);
END;
`;

/** Secrets that are rotated go by themselves; an older build makes and keeps its own for ever. */
const FORGOTTEN_SECRETS = `
ALTER TABLE secrets ADD COLUMN forget_at REAL;
`;

/** An older build does not know the column, and judges by the clock alone as it did before. */
const REPORTED_EXPIRIES = `
ALTER TABLE sessions ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
`;

/** In order; the first has number 1. */
export const MIGRATIONS: readonly Migration[] = [
  { breaking: true, sql: FIRST },
  { breaking: false, sql: FORGOTTEN_SECRETS },
  { breaking: false, sql: REPORTED_EXPIRIES },
];
