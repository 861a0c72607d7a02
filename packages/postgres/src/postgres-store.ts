/**
 * The store object. All endpoints that share it use one database object: the first one opens it, the last one closes
 * it.
 */
import {
  Instances,
  KernelRecords,
  LEASES,
  SECRETS,
  Secrets,
  SharedResource,
  TurnWrites,
  digestOf,
  recordsOf,
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
        for (const kind of [...options.kinds, SECRETS, LEASES])
          spaces.set(kind, await findSpace(database, options.name, kind.name));
        return this.#view(database, spaces, options);
      },
    );
  }

  #view(database: PostgresDatabase, spaces: ReadonlyMap<Kind, string>, options: StoreOptions): OpenStore {
    const { place, instanceConnection, statements, clock, deadlines } = database;
    const { leaseMs, logger, random } = options;
    const mailboxes = new PostgresMailboxes({
      instanceConnection,
      statements,
      random,
      logger,
      space: spaces.get(LEASES) ?? '',
    });
    const shared = { where: place, spaces, statements, clock };
    const read: PostgresBackendOptions['read'] = (statement, values) => database.query(statement, values);
    const backend = new PostgresBackend({
      ...shared,
      read,
      write: (statement, values) => database.write(statement, values),
    });
    // Not behind other writes: a locked row of another record could delay them for longer than leases last.
    const ofLeases = new PostgresBackend({
      ...shared,
      read,
      write: read,
      writeQuickly: (statement, values) => mailboxes.query(statement, values),
    });
    const [writes, leaseWrites] = [new TurnWrites(backend, false), new TurnWrites(ofLeases, false)];
    const made: KernelRecords[] = [];
    const records = recordsOf([...spaces.keys()], (kind) => {
      const own = kind === LEASES ? { backend: ofLeases, writes: leaseWrites } : { backend, writes };
      const one = new KernelRecords({ kind, ...own, isAlone: false, deadlines });
      made.push(one);
      return one;
    });
    const instances = new Instances({ records: records(LEASES), mailboxes, leaseMs, logger });
    const secrets = new Secrets(records(SECRETS), random);
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await instances.close();
      await Promise.all(made.map((one) => one.settled()));
      await this.#database.release();
    };
    return {
      records,
      instances,
      secret: (name, keepMs) => secrets.get(name, keepMs),
      close: () => (closed ??= close()),
    };
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
