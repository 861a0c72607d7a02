/**
 * The store object. All endpoints that share it use one database object: the first one opens it, the last one closes
 * it.
 */
import {
  LEASES,
  SharedResource,
  digestOf,
  kindsOf,
  openView,
  type Kind,
  type OpenStore,
  type Store,
  type StoreOptions,
} from 'sojourn/store-kit';
import { PostgresDatabase, type DatabaseSettings } from './database.ts';
import { namesTaken } from './failures.ts';
import { PostgresBackend, type PostgresBackendOptions } from './backend.ts';
import { PostgresMailboxes } from './mailboxes.ts';

export class PostgresStore implements Store {
  readonly kind = 'postgres';
  readonly durable = true;
  readonly inProcess = false;
  readonly #settings: DatabaseSettings;
  readonly #database = new SharedResource<PostgresDatabase>();

  constructor(settings: DatabaseSettings) {
    this.#settings = settings;
  }

  open(options: StoreOptions): Promise<OpenStore> {
    return this.#database.view(
      () => PostgresDatabase.open(this.#settings, options),
      async (database) => {
        const spaces = new Map<Kind, string>();
        for (const kind of kindsOf(options)) spaces.set(kind, await findSpace(database, options.name, kind.name));
        return this.#view(database, spaces, options);
      },
    );
  }

  #view(database: PostgresDatabase, spaces: ReadonlyMap<Kind, string>, options: StoreOptions): OpenStore {
    const { place, statements, clock, deadlines } = database;
    const mailboxes = new PostgresMailboxes(database, spaces.get(LEASES) ?? '', options.random);
    const shared = { where: place, spaces, statements, clock };
    const read: PostgresBackendOptions['read'] = (statement, values) => database.query(statement, values);
    const backend = new PostgresBackend({
      ...shared,
      read,
      write: (statement, values) => database.write(statement, values),
    });
    // A locked row of another record could delay them for longer than leases last.
    const ofLeases = new PostgresBackend({
      ...shared,
      read,
      write: read,
      writeQuickly: (statement, values) => database.tell(statement, values),
    });
    const closed = (): Promise<void> => this.#database.release();
    return openView({ backend, ofLeases, mailboxes: () => mailboxes, deadlines, closed }, options);
  }
}

/**
 * The key of the records of one kind in a deployment. It is a hash of the name, so that after a loss of data no
 * deployment gets the key of another one.
 */
async function findSpace(database: PostgresDatabase, name: string, kind: string): Promise<string> {
  const text = JSON.stringify([name, kind]);
  const key = digestOf(text).readBigInt64BE().toString();
  const { space, makeSpace } = database.statements;
  const find = async (): Promise<string | null | undefined> => (await database.query(space, [key])).rows[0]?.[0];
  let found = await find();
  if (found === undefined) {
    await database.query(makeSpace, [key, text]);
    found = await find();
  }
  if (found !== text) throw namesTaken(database.place, name);
  return key;
}
