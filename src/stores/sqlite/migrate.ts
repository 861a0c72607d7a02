/**
 * Brings a file to this build's schema, forwards only. The file records which steps were taken and which of them break
 * older builds. So an older build knows whether it may use a file with steps that it does not know.
 *
 * Several processes may start at once. A step is taken under the write lock, and the second process finds it taken.
 */
import type { StoreClock } from './clock.ts';
import type { SqliteDatabase } from './database.ts';
import { foreignDatabase, newerSchema, olderInUse } from './failures.ts';
import { MIGRATIONS, type Migration } from './schema.ts';
import { SQL } from './statements.ts';

/** `SJRN` in the file's header marks a database of sojourn. */
export const APPLICATION_ID = 0x53_4a_52_4e;

export function migrate(
  database: SqliteDatabase,
  clock: StoreClock,
  migrations: readonly Migration[] = MIGRATIONS,
): void {
  if (taken(database) >= migrations.length) return checkBreaking(database, migrations.length);
  database.transaction(() => {
    const first = taken(database);
    if (first === 0) begin(database);
    checkBreaking(database, migrations.length);
    for (let n = first; n < migrations.length; n++) {
      const step = migrations[n];
      if (step === undefined) continue;
      if (step.breaking && n > 0) checkAlone(database, clock, n + 1);
      database.execute(step.sql);
      database.run(SQL.migrated, [n + 1, step.breaking ? 1 : 0, clock.wall()]);
    }
  });
}

/** How many steps were taken on the file; more than this build knows if a newer build opened it. */
function taken(database: SqliteDatabase): number {
  if (database.one<[number]>(SQL.applicationId)?.[0] !== APPLICATION_ID) return 0;
  return database.one<[number]>(SQL.lastMigration)?.[0] ?? 0;
}

function begin(database: SqliteDatabase): void {
  if (database.one(SQL.anyTable) !== undefined) throw foreignDatabase(database.path);
  database.execute(`PRAGMA application_id = ${APPLICATION_ID}`);
  database.execute(SQL.createMigrations);
}

function checkBreaking(database: SqliteDatabase, known: number): void {
  const breaking = database.one<[number]>(SQL.lastBreaking)?.[0] ?? 0;
  if (breaking > known) throw newerSchema(database.path, breaking, known);
}

function checkAlone(database: SqliteDatabase, clock: StoreClock, migration: number): void {
  const living = database.all<[string]>(SQL.anyLease, [clock.boot, clock.machine()]).map(([id]) => id);
  if (living.length > 0) throw olderInUse(database.path, migration, living);
}
