/** The store object. All endpoints that share it use one database object. */
import { LEASES, kindsOf, sharedStore, type Store } from 'sojourn/store-kit';
import { PostgresDatabase, type DatabaseSettings } from './database.ts';
import { PostgresBackend, type PostgresBackendOptions } from './backend.ts';
import { PostgresMailboxes } from './mailboxes.ts';
import { keyOf } from './pg.ts';

export const postgresStore = (settings: DatabaseSettings): Store =>
  sharedStore(
    'postgres',
    (options) => PostgresDatabase.open(settings, options),
    (database, options) => {
      // The records of one kind in a deployment: a hash of their names, so that it is the same after a loss of data.
      const spaces = new Map(kindsOf(options).map((kind) => [kind, keyOf([options.name, kind.name])]));
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
      return { backend, ofLeases, mailboxes: () => mailboxes, deadlines };
    },
  );
