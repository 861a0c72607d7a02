/**
 * The tables of the file, and the format that its header names. A build refuses a file of a newer format. So a change
 * that earlier builds can live with, such as another table, leaves the number as it is.
 */
import { storeRefused } from '../../base/errors.ts';
import type { SqliteDatabase } from './database.ts';
import { SQL } from './statements.ts';

/** `SJRN` in the file's header marks a database of sojourn. */
export const APPLICATION_ID = 0x53_4a_52_4e;
export const FORMAT = 3;

/**
 * - `rows`: the rows of `kernel/backend.ts`. An ended record has no fence, and is in the index of times alone. `space`:
 *   the records of one kind in a deployment (`sqlite-store.ts`). `share` and `bytes`: of a counted record, until it is
 *   forgotten. `stamp`: while it lives.
 * - `log`: their entries. `record`: the number of the row. Without row ids each look-up would read long entries whole:
 *   an append took twice the CPU, of 20 KB as of 4 MB.
 * - `kept`: what the rows of a space and share and their logs count together. One process writes at a time.
 * - `lease_clock`: a row for each deployment (`clock.ts`).
 */
const TABLES = `
CREATE TABLE rows (
  no INTEGER PRIMARY KEY,
  space INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  fence TEXT,
  wake REAL,
  data TEXT NOT NULL,
  body TEXT NOT NULL,
  share TEXT,
  stamp REAL,
  bytes INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX rows_by_id ON rows (space, id);
CREATE INDEX rows_by_wake ON rows (space, wake, id) WHERE wake IS NOT NULL;
CREATE INDEX rows_living ON rows (space, id) WHERE fence IS NOT NULL;
CREATE INDEX rows_by_share ON rows (space, share, stamp, id) WHERE share IS NOT NULL;

CREATE TABLE log (
  record INTEGER NOT NULL,
  no INTEGER NOT NULL,
  stream TEXT NOT NULL,
  head TEXT NOT NULL,
  data TEXT NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX log_by_no ON log (record, no);

CREATE TABLE kept (
  space INTEGER NOT NULL,
  share TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (space, share)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease_clock (
  space INTEGER PRIMARY KEY,
  base REAL NOT NULL,
  lease_ms REAL NOT NULL
) STRICT;

PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${FORMAT};
`;

/** Several processes may open a new file at once: one of them makes the tables. */
export function makeTables(database: SqliteDatabase): void {
  if (isMade(database)) return;
  database.transaction(() => {
    if (isMade(database)) return;
    if (database.one(SQL.anyTable) !== undefined)
      throw storeRefused(
        `${database.path} is a SQLite database of another program; name another file for the sessions`,
      );
    database.execute(TABLES);
  });
}

function isMade(database: SqliteDatabase): boolean {
  const header = (name: string): number => database.one<[number]>(`PRAGMA ${name}`)?.[0] ?? 0;
  if (header('application_id') !== APPLICATION_ID) return false;
  const format = header('user_version');
  if (format > FORMAT)
    throw storeRefused(
      `${database.path} was made or changed by a newer version of sojourn (format ${format}, this one reads ` +
        `${FORMAT}); start the newer version, or name another file`,
    );
  return format === FORMAT;
}
