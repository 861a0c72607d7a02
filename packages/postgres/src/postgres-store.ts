/**
 * The store object. All endpoints that share it use one database object: the first one opens it, the last one closes
 * it.
 */
import {
  LEASES,
  SharedResource,
  kindsOf,
  openView,
  type OpenStore,
  type Store,
  type StoreOptions,
} from 'sojourn/store-kit';
import { PostgresDatabase, type DatabaseSettings } from './database.ts';
import { PostgresBackend, type PostgresBackendOptions } from './backend.ts';
import { PostgresMailboxes } from './mailboxes.ts';
import { keyOf } from './pg.ts';

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
      (database) => this.#view(database, options),
    );
  }

  #view(database: PostgresDatabase, options: StoreOptions): OpenStore {
    const spaces = new Map(kindsOf(options).map((kind) => [kind, spaceOf(options.name, kind.name)]));
    const { server, statements, clock } = database;
    const { place, deadlines } = server;
    const mailboxes = new PostgresMailboxes(database, spaces.get(LEASES) ?? '');
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

/** The records of one kind in a deployment: a hash of their names, so that it is the same after a loss of data. */
const spaceOf = (name: string, kind: string): string => keyOf([name, kind]);
