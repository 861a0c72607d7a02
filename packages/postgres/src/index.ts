/** The PostgreSQL store: sessions and instances of any number of machines, in a database that you run. */
import { checkNames, got, optionInvalid, type Store } from 'sojourn/store-kit';
import { isPool, type PgConfig } from './pg.ts';
import { PostgresStore } from './postgres-store.ts';

export { migrationSql, type MigrationSqlOptions } from './schema.ts';

/** The members of a `Pool` of `pg` that the store uses. It never closes the caller's pool. */
export interface PostgresPool {
  readonly options: object;
  connect(): Promise<unknown>;
  query(text: string): Promise<unknown>;
}

/** The configuration of a `Client` or a `Pool` of `pg`: `{ host, port, user, password, database, ssl, max, … }`. */
export type PostgresConfig = Readonly<Record<string, unknown>>;

export interface PostgresOptions {
  /** The schema that holds all tables; created if missing. Default `'sojourn'`. */
  readonly schema?: string | undefined;
  /**
   * The server itself, for the two connections that listen and write. Needed if the first argument leads to a pooler
   * that gives each transaction another connection.
   */
  readonly direct?: string | PostgresConfig | undefined;
}

const OPTIONS = ['schema', 'direct'] as const satisfies readonly (keyof PostgresOptions)[];
const TAKES_SERVER = "a URL, e.g. 'postgres://user@host/database', a Pool of pg, or a configuration of pg";
const TAKES_DIRECT = "a URL, e.g. 'postgres://user@host/database', or a configuration of pg";
const TAKES_SCHEMA = 'a name of 1 to 63 bytes that does not begin with pg_';
const NAME_BYTES = 63;

/**
 * A store in a PostgreSQL database (13 or later), with the package `pg`.
 * @throws TypeError, RangeError naming the option that is wrong.
 */
export function postgres(server: string | PostgresPool | PostgresConfig, options: PostgresOptions = {}): Store {
  const { schema = 'sojourn', direct } = checkNames('postgres', options, OPTIONS, []);
  const fits = typeof schema === 'string' && schema !== '' && Buffer.byteLength(schema) <= NAME_BYTES;
  if (!fits || schema.startsWith('pg_') || schema.includes('\0'))
    throw optionInvalid(typeof schema === 'string' ? 'range' : 'type', 'postgres.schema', schema, TAKES_SCHEMA);
  const reads = isPool(server) ? server : configOf('postgres.server', server, TAKES_SERVER);
  const given = isPool(reads) ? reads.options : reads;
  if (isPool(reads) && given['binary'] === true)
    throw optionInvalid('range', 'postgres.server', got('a Pool with binary: true'), 'a Pool that reads text');
  return new PostgresStore({
    reads,
    direct: direct === undefined ? given : configOf('postgres.direct', direct, TAKES_DIRECT),
    schema,
  });
}

function configOf(option: string, given: unknown, takes: string): PgConfig {
  if (typeof given === 'string') {
    if (/^postgres(ql)?:\/\//.test(given)) return { connectionString: given };
    // The text may hold a password, so the message does not show it.
    throw optionInvalid('range', option, got('something that is no such URL'), takes);
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw optionInvalid('type', option, given, takes);
  return given as PgConfig;
}
