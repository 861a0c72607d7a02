/**
 * Brings a schema to the version of this build. When several processes start at once, an advisory lock lets one of them
 * migrate, and the others find it done. Steps only go forward; each says whether builds that do not know it can work
 * with its result.
 */
import { Deadlines, digestOf } from 'sojourn/store-kit';
import { Connection, type Connector } from './connection.ts';
import { isForbidden, isSchemaGone, mayNotMigrate, newerSchema, olderInUse } from './failures.ts';
import { LEASE_SPACE, LIVING } from './instance-statements.ts';
import type { PgResult } from './pg.ts';
import { MIGRATIONS, quoted, type Migration } from './schema.ts';

/** A step may take longer than any other statement: it may build the index of a large table. */
const STEP_MS = 60_000;

export async function migrate(
  connector: Connector,
  first: Connection,
  schema: string,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  try {
    if ((await taken(first, schema, migrations.length)) >= migrations.length) return;
  } catch (error) {
    if (!isSchemaGone(error)) throw error;
  }
  const connection = await Connection.open(
    { ...connector, deadlines: new Deadlines(connector.deadlines.time, STEP_MS) },
    { durable: true },
  );
  try {
    await run(connection, 'BEGIN');
    await run(connection, `SET LOCAL statement_timeout = ${Math.ceil(connector.deadlines.limitMs)}`);
    await run(connection, lockSql(schema));
    await run(connection, `SET LOCAL statement_timeout = ${STEP_MS}`);
    await run(connection, beginSql(schema, await exists(connection, schema)));
    const done = await taken(connection, schema, migrations.length);
    // While a step waits for the lock of a backup, statements of older builds wait behind it.
    await run(connection, `SET LOCAL lock_timeout = ${Math.ceil(connector.deadlines.limitMs)}`);
    for (const [n, step] of migrations.entries()) {
      if (n < done) continue;
      if (step.breaking && n > 0) await checkAlone(connection, schema, n + 1);
      await run(connection, stepSql(schema, n + 1, step));
    }
    await run(connection, 'COMMIT');
  } catch (error) {
    throw isForbidden(error) ? mayNotMigrate(connection.place, schema, error) : error;
  } finally {
    await connection.close();
  }
}

/**
 * The SQL that an administrator runs with `psql -f` if the store's user may not create a schema. With `user` it grants
 * that user the rights that the store needs. `after`: the number of the last step that was taken before; earlier steps
 * are left out.
 */
export function migrationSql(schema = 'sojourn', { user, after = 0 }: MigrationSqlOptions = {}): string {
  const steps = MIGRATIONS.map((step, n) => (n < after ? '' : stepSql(schema, n + 1, step)));
  const grants = user === undefined ? '' : grantSql(quoted(schema), quoted(user));
  return ['BEGIN;', `${lockSql(schema)};`, beginSql(schema, false), ...steps, grants, 'COMMIT;', ''].join('\n');
}

export interface MigrationSqlOptions {
  readonly user?: string | undefined;
  readonly after?: number | undefined;
}

const grantSql = (schema: string, user: string): string => `
GRANT USAGE ON SCHEMA ${schema} TO ${user};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${user};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${user};
`;

/** A lock of the transaction. */
function lockSql(schema: string): string {
  const key = digestOf(`sojourn migrations ${schema}`).readBigInt64BE();
  return `SELECT pg_advisory_xact_lock(${key})`;
}

/** `CREATE SCHEMA IF NOT EXISTS` needs the right to create a schema even if it exists, so it is left out then. */
const beginSql = (schema: string, there: boolean): string =>
  `${there ? '' : `CREATE SCHEMA IF NOT EXISTS ${quoted(schema)};`}
CREATE TABLE IF NOT EXISTS ${quoted(schema)}.migrations (
  no integer PRIMARY KEY,
  breaking boolean NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);`;

const stepSql = (schema: string, no: number, step: Migration): string =>
  `${step.sql(quoted(schema))}
INSERT INTO ${quoted(schema)}.migrations (no, breaking) VALUES (${no}, ${step.breaking});`;

/** The number of steps taken; more than this build knows if a newer build was here. */
async function taken(connection: Connection, schema: string, known: number): Promise<number> {
  const last = `SELECT max(no), max(no) FILTER (WHERE breaking) FROM ${quoted(schema)}.migrations`;
  const [number, breaking] = (await run(connection, last)).rows[0] ?? [];
  if (Number(breaking ?? 0) > known) throw newerSchema(connection.place, schema, Number(breaking), known);
  return Number(number ?? 0);
}

async function exists(connection: Connection, schema: string): Promise<boolean> {
  const text = 'SELECT FROM pg_namespace WHERE nspname = $1';
  return (await connection.query({ name: '', text }, [schema])).rows.length > 0;
}

async function checkAlone(connection: Connection, schema: string, no: number): Promise<void> {
  const s = quoted(schema);
  const living = `SELECT id FROM ${s}.rows
    WHERE space IN (SELECT key FROM ${s}.spaces WHERE ${LEASE_SPACE}) AND ${LIVING} ORDER BY id`;
  const ids = (await run(connection, living)).rows.map(([id]) => id ?? '');
  if (ids.length > 0) throw olderInUse(connection.place, schema, no, ids);
}

/** Any number of statements, without values. */
const run = (connection: Connection, text: string): Promise<PgResult> => connection.query({ name: '', text });
