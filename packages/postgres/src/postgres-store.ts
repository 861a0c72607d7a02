/** The store object. All endpoints that share it use one database object. */
import { LEASES, kindsOf, sharedStore, type Store } from 'sojourn/store-kit';
import { PostgresDatabase, type DatabaseSettings } from './database.ts';
import { PostgresBackend } from './backend.ts';
import { PostgresMailboxes } from './mailboxes.ts';
import { keyOf } from './pg.ts';

export const postgresStore = (settings: DatabaseSettings): Store =>
  sharedStore(
    'postgres',
    (options) => PostgresDatabase.open(settings, options),
    (database, options) => {
      // The records of one kind in a deployment: a hash of their names, so that it is the same after a loss of data.
      const spaces = new Map(kindsOf(options).map((kind) => [kind, keyOf([options.name, kind.name])]));
      return {
        backend: new PostgresBackend(database, spaces),
        ofLeases: new PostgresBackend(database, spaces, true),
        mailboxes: () => new PostgresMailboxes(database, spaces.get(LEASES) ?? ''),
        deadlines: database.server.deadlines,
      };
    },
  );
