/**
 * The store object. All endpoints that share it use one database object: the first one opens it, the last one closes
 * it.
 */
import { createHash } from 'node:crypto';
import { recordsOf } from '../shared/kinds.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { PostgresDatabase, type DatabaseSettings } from './database.ts';
import { namesTaken } from './failures.ts';
import { PostgresInstances } from './instances.ts';
import { PostgresRecords } from './records.ts';

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
        const { name, kinds } = options;
        const deployment = await findSpace(database, name);
        const spaces = new Map<string, string>();
        for (const kind of [...kinds, SECRETS]) spaces.set(kind.name, await findSpace(database, name, kind.name));
        return this.#view(database, deployment, spaces, options);
      },
    );
  }

  /** `spaces`: of each kind. */
  #view(
    database: PostgresDatabase,
    deployment: string,
    spaces: ReadonlyMap<string, string>,
    options: StoreOptions,
  ): OpenStore {
    const { place, instanceConnection, writer, statements } = database;
    const parts = { ...options, place, instanceConnection, writer, statements, reader: database };
    const instances = new PostgresInstances({ ...parts, deployment });
    const records = recordsOf(
      [...options.kinds, SECRETS],
      (kind) => new PostgresRecords({ ...parts, kind, space: spaces.get(kind.name) ?? '' }),
    );
    const secrets = new Secrets(records(SECRETS), options.random);
    let closed: Promise<void> | undefined;
    return {
      records,
      instances,
      secret: (name, keepMs) => secrets.get(name, keepMs),
      close: () => (closed ??= instances.close().then(() => this.#database.release())),
    };
  }
}

/**
 * The key of a deployment, or of its records of one kind. It is a hash of the name, so that after a loss of data no
 * deployment gets the key of another one.
 */
async function findSpace(database: PostgresDatabase, name: string, kind?: string): Promise<string> {
  const text = JSON.stringify(kind === undefined ? name : [name, kind]);
  const key = createHash('sha256').update(text).digest().readBigInt64BE().toString();
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
