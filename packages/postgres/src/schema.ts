/**
 * The tables, which each new connection looks for, and makes if they are missing: at the first start, after they were
 * dropped, on a server that came back without its data. When several connections open at once, an advisory lock lets
 * one of them make the tables, and the others find them. A schema of a later version is refused.
 */
import { optionInvalid, storeRefused } from 'sojourn/internal';
import { isForbidden, isOvertaken, isSchemaGone } from './failures.ts';
import { type PgResult, quoted, type PgValue } from './pg.ts';
import { functions } from './statements.ts';

/** A change of a table or of the function takes another number: a build makes what is missing, and changes nothing. */
const VERSION = 5;

const TAKES_SCHEMA = 'a name of 1 to 63 bytes that does not begin with pg_ and has no $$';
const NAME_BYTES = 63;
/** Where processes start together, each try lets at least one finish. */
const MAKING_TRIES = 8;

/** The bodies of functions have the name in them, between `$$`. */
export function checkSchema(schema: unknown): string {
  if (typeof schema !== 'string')
    throw optionInvalid('type', 'postgres.schema', schema, TAKES_SCHEMA);
  const bytes = Buffer.byteLength(schema);
  if (bytes === 0 || bytes > NAME_BYTES || /^pg_|\0|\$\$/.test(schema))
    throw optionInvalid('range', 'postgres.schema', schema, TAKES_SCHEMA);
  return schema;
}

export async function findSchema(
  schema: string,
  place: string,
  query: (text: string, values?: readonly PgValue[]) => Promise<PgResult>,
  tries = MAKING_TRIES,
): Promise<void> {
  const s = quoted(schema);
  try {
    const parts = `to_regclass($1), to_regclass($2), to_regclass($3), to_regclass($4), to_regprocedure($5), to_regprocedure($6)`;
    // An earlier version of the function stays for the instances that use it.
    const made = [
      'rows',
      'log',
      'kept',
      'messages',
      'write_trip(json, text, bigint)',
      'emit(text, json, text, text, text, text)',
    ];
    const names = made.map((name) => `${s}.${name}`);
    const { rows } = await query(`SELECT max(no), num_nulls(${parts}) FROM ${s}.version`, names);
    const [found = 0, missing] = (rows[0] ?? []).map(Number);
    if (found > VERSION)
      throw storeRefused(
        `${place}: the schema ${schema} was made by a newer version of sojourn (schema ${found}, this one knows ` +
          `${VERSION}); start the newer version, or name another schema`,
      );
    if (found === VERSION && missing === 0) return;
  } catch (error) {
    if (!isSchemaGone(error)) throw error;
  }
  const text = 'SELECT FROM pg_namespace WHERE nspname = $1';
  const isThere = (await query(text, [schema])).rows.length > 0;
  try {
    // Several statements in one query are one transaction.
    await query(createSql(schema, isThere));
  } catch (error) {
    // No lock orders those that make it at once: every user of the database could hold one.
    if (isOvertaken(error) && tries > 0) return findSchema(schema, place, query, tries - 1);
    if (!isForbidden(error)) throw error;
    throw storeRefused(
      `${place}: this user may not make the schema ${schema}; grant it CREATE on the database, or let an ` +
        'administrator run what migrationSql() of sojourn-postgres returns',
      error,
    );
  }
}

export interface MigrationSqlOptions {
  readonly user?: string | undefined;
  /** A role of an application that may call `sojourn.emit()`, and reads and writes nothing else. */
  readonly emits?: string | undefined;
}

/**
 * The SQL that an administrator runs with `psql -f` if the store's user may not create a schema. With `user` it grants
 * that user the rights that the store needs. It may run again.
 */
export function migrationSql(
  schema = 'sojourn',
  { user, emits }: MigrationSqlOptions = {},
): string {
  const create = createSql(checkSchema(schema), false);
  const s = quoted(schema);
  const granted = user === undefined ? '' : grantSql(s, quoted(user));
  const emitting = emits === undefined ? '' : emitSql(s, quoted(emits));
  return `BEGIN;\n${create}${granted}${emitting}COMMIT;\n`;
}

const emitSql = (schema: string, role: string): string => `
GRANT USAGE ON SCHEMA ${schema} TO ${role};
GRANT EXECUTE ON FUNCTION ${schema}.emit(text, json, text, text, text, text) TO ${role};
`;

const grantSql = (schema: string, user: string): string => `
GRANT USAGE ON SCHEMA ${schema} TO ${user};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${user};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${user};
`;

/** `CREATE SCHEMA IF NOT EXISTS` needs the right to create a schema even if it exists, so it is left out then. */
function createSql(schema: string, isThere: boolean): string {
  const s = quoted(schema);
  return `${isThere ? '' : `CREATE SCHEMA IF NOT EXISTS ${s};`}
${tables(s)}
${functions(s)}
INSERT INTO ${s}.version (no) VALUES (${VERSION}) ON CONFLICT DO NOTHING;
`;
}

/**
 * * `rows` and `log`: what `kernel/backend.ts` calls rows and entries. `space`: the records of one kind in a deployment
 *   (`index.ts`). `fence` is null where a record has ended. `data` changes with each put, `body` only with a
 *   new log (`kernel/row-texts.ts`). `share` and `bytes`: of a counted record, until it is forgotten. `stamp`: while it
 *   lives.
 * * `kept`: what the rows of a share and their logs count, which is the sum over its writers. A writer is a process, by
 *   the key of its instance connection: no two processes write one of these rows, so no trip waits for another one. 0:
 *   what writers without a lease have counted.
 * * `messages`: their receiver reads and deletes them. `no` is the transaction that sent a message, and `ord` its place in
 *   it. Unlogged: a crash of the server empties the table, which is a lost connection for all instances anyway.
 *
 * Times are ms since 1970.
 */
const tables = (s: string): string => `
CREATE TABLE IF NOT EXISTS ${s}.version (
  no integer PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS ${s}.rows (
  space bigint NOT NULL,
  version bigint NOT NULL,
  wake double precision,
  id text COLLATE "C" NOT NULL,
  fence text COLLATE "C",
  stamp double precision,
  bytes bigint NOT NULL,
  share text COLLATE "C",
  data text NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (space, id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS rows_by_wake ON ${s}.rows (space, wake, id) WHERE wake IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_share ON ${s}.rows (space, share, stamp, id) WHERE share IS NOT NULL;

CREATE TABLE IF NOT EXISTS ${s}.log (
  space bigint NOT NULL,
  no bigint NOT NULL,
  bytes bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL,
  head text NOT NULL,
  data text NOT NULL,
  PRIMARY KEY (space, id, no)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE IF NOT EXISTS ${s}.kept (
  space bigint NOT NULL,
  writer bigint NOT NULL,
  bytes bigint NOT NULL,
  share text COLLATE "C" NOT NULL,
  PRIMARY KEY (space, share, writer)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE UNLOGGED TABLE IF NOT EXISTS ${s}.messages (
  mailbox bigint NOT NULL,
  no bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
  ord integer NOT NULL,
  sent timestamptz NOT NULL DEFAULT now(),
  body text NOT NULL,
  PRIMARY KEY (no, mailbox, ord)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);`;
