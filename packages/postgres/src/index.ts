/** The PostgreSQL store: sessions and instances of any number of machines, in a database that you run. */
import {
  LEASES,
  checkNames,
  got,
  kindsOf,
  optionInvalid,
  sharedStore,
  type Store,
} from 'sojourn/internal';
import { PostgresBackend } from './backend.ts';
import { PostgresDatabase } from './database.ts';
import { PostgresMailboxes } from './mailboxes.ts';
import { keyOf, type PostgresConfig } from './pg.ts';
import { checkSchema } from './schema.ts';

export type { PostgresConfig } from './pg.ts';
export { migrationSql, type MigrationSqlOptions } from './schema.ts';

/** A `Pool` of `pg`. The store neither uses nor closes it: it makes its own connections with the pool's configuration. */
export interface PostgresPool {
  readonly options: object;
  connect(): Promise<unknown>;
  query(text: string): Promise<unknown>;
}

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
export function postgres(
  server: string | PostgresPool | PostgresConfig,
  options: PostgresOptions = {},
): Store {
  const { schema = 'sojourn' } = checkNames('postgres', options, OPTIONS, []);
  const settings = { config: configOf(server), schema: checkSchema(schema) };
  return sharedStore(
    'postgres',
    (view) => PostgresDatabase.open(settings, view),
    (database, view) => {
      // The records of one kind in a deployment: a hash of their names, so that it is the same after a loss of data.
      const spaces = new Map(
        kindsOf(view).map((kind) => [kind, keyOf([view.deployment, kind.name])]),
      );
      const counted = view.kinds
        .filter((kind) => kind.counted)
        .map((kind) => spaces.get(kind) ?? '');
      return {
        backend: new PostgresBackend(database, spaces),
        ofLeases: new PostgresBackend(database, spaces, true),
        mailboxes: () => new PostgresMailboxes(database, spaces.get(LEASES) ?? '', counted),
        deadlines: database.server.deadlines,
        forgetAll: async () =>
          void (await database.query(database.statements.forgetAll, [[...spaces.values()]])),
      };
    },
  );
}

function configOf(given: unknown): PostgresConfig {
  if (typeof given === 'string') {
    // `pg` takes a URL without a host too, after a user. The text may hold a password, so the message does not show it.
    if (/^postgres(ql)?:\/\//.test(given) && URL.canParse(given.replace('@/', '@localhost/')))
      return { connectionString: given };
    throw optionInvalid(
      'range',
      'postgres.server',
      got('something that is no such URL'),
      TAKES_SERVER,
    );
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw optionInvalid('type', 'postgres.server', given, TAKES_SERVER);
  if (isPool(given)) return given.options as PostgresConfig;
  // A `Client` has the members of a configuration, and its connection among them.
  if ('query' in given)
    throw optionInvalid('type', 'postgres.server', got('a client that is no Pool'), TAKES_SERVER);
  return given as PostgresConfig;
}

function isPool(given: object): given is PostgresPool {
  const { connect, query, options } = given as Partial<Record<keyof PostgresPool, unknown>>;
  return (
    typeof connect === 'function' && typeof query === 'function' && typeof options === 'object'
  );
}
