/** The PostgreSQL store: sessions and instances of any number of machines, in a database that you run. */
import { checkNames, got, optionInvalid, type Store } from 'sojourn/store-kit';
import type { PgConfig } from './pg.ts';
import { postgresStore } from './postgres-store.ts';
import { checkSchema } from './schema.ts';

export { migrationSql, type MigrationSqlOptions } from './schema.ts';

/** A `Pool` of `pg`. The store neither uses nor closes it: it makes its own connections with the pool's configuration. */
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
}

const OPTIONS = ['schema'] as const satisfies readonly (keyof PostgresOptions)[];
const TAKES_SERVER =
  "a URL with one host, e.g. 'postgres://user@host/database', a Pool of pg, or a configuration of pg";

/**
 * A store in a PostgreSQL database (13 or later), with the package `pg`.
 * @throws TypeError, RangeError naming the option that is wrong.
 */
export function postgres(server: string | PostgresPool | PostgresConfig, options: PostgresOptions = {}): Store {
  const { schema = 'sojourn' } = checkNames('postgres', options, OPTIONS, []);
  return postgresStore({ config: configOf(server), schema: checkSchema(schema) });
}

function configOf(given: unknown): PgConfig {
  if (typeof given === 'string') {
    // `pg` takes a URL without a host too, after a user. The text may hold a password, so the message does not show it.
    if (/^postgres(ql)?:\/\//.test(given) && URL.canParse(given.replace('@/', '@localhost/')))
      return { connectionString: given };
    throw optionInvalid('range', 'postgres.server', got('something that is no such URL'), TAKES_SERVER);
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw optionInvalid('type', 'postgres.server', given, TAKES_SERVER);
  if (isPool(given)) return given.options as PgConfig;
  // A `Client` has the members of a configuration, and its connection among them.
  if ('query' in given) throw optionInvalid('type', 'postgres.server', got('a client that is no Pool'), TAKES_SERVER);
  return given as PgConfig;
}

function isPool(given: object): given is PostgresPool {
  const { connect, query, options } = given as Partial<Record<keyof PostgresPool, unknown>>;
  return typeof connect === 'function' && typeof query === 'function' && typeof options === 'object';
}
