/**
 * The store object. All endpoints that share it use one database object: the first one opens it, the last one closes
 * it.
 */
import { createHash } from 'node:crypto';
import { recordsOf } from '../shared/kinds.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { PostgresDatabase, type DatabaseSettings } from './database.ts';
import { namesTaken } from './failures.ts';
import { PostgresInstances } from './instances.ts';
import { PostgresRecords } from './records.ts';

const SECRET_BYTES = 32;

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
        for (const kind of kinds) spaces.set(kind.name, await findSpace(database, name, kind.name));
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
    let closed: Promise<void> | undefined;
    return {
      records: recordsOf(
        options.kinds,
        (kind) => new PostgresRecords({ ...parts, kind, space: spaces.get(kind.name) ?? '' }),
      ),
      instances,
      secret: (name, keepMs) => findSecret(database, deployment, options, name, keepMs),
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

/** If several instances create the secret at once, one of them wins. */
async function findSecret(
  database: PostgresDatabase,
  deployment: string,
  { random }: StoreOptions,
  name: string,
  keepMs: number | undefined,
): Promise<Uint8Array> {
  const { secret, makeSecret } = database.statements;
  const key = [deployment, JSON.stringify(name)];
  for (;;) {
    const [found] = (await database.query(secret, key)).rows;
    if (found !== undefined) return Uint8Array.from(Buffer.from(found[0] ?? '', 'base64'));
    await database.query(makeSecret, [...key, Buffer.from(random(SECRET_BYTES)), keepMs ?? null]);
  }
}
