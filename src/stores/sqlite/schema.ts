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
 * - `rows`: the rows of `kernel/backend.ts`. An ended record has no fence, and is in the index of times alone.
 * - `log`: their entries. `record`: the number of the row.
 * - `room`: one row at times, to find out whether the disk has room again.
 * - `lease_clock`: one row (`lease-clock.ts`).
 */
const FIRST = `
CREATE TABLE spaces (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE rows (
  no INTEGER PRIMARY KEY,
  space INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  fence TEXT,
  wake REAL,
  data TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX rows_by_id ON rows (space, id);
CREATE INDEX rows_by_wake ON rows (space, wake, id) WHERE wake IS NOT NULL;
CREATE INDEX rows_living ON rows (space, id) WHERE fence IS NOT NULL;

CREATE TABLE log (
  record INTEGER NOT NULL,
  no INTEGER NOT NULL,
  stream TEXT NOT NULL,
  head TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (record, no)
) STRICT, WITHOUT ROWID;

CREATE TABLE room (
  no INTEGER PRIMARY KEY,
  text TEXT NOT NULL
) STRICT;

CREATE TABLE lease_clock (
  no INTEGER PRIMARY KEY,
  boot TEXT NOT NULL,
  base REAL NOT NULL,
  lease_ms REAL NOT NULL
) STRICT;
`;

/** In order; the first has number 1. */
export const MIGRATIONS: readonly Migration[] = [{ breaking: true, sql: FIRST }];
