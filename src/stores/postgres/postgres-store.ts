/**
 * The store object. All endpoints that share it use one database object: the first one opens it, the last one closes
 * it.
 */
import { createHash } from 'node:crypto';
import { SharedResource } from '../shared/shared-resource.ts';
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { PostgresDatabase, type DatabaseSettings } from './database.ts';
import { PostgresEvents } from './events.ts';
import { namesTaken } from './failures.ts';
import { PostgresInstances } from './instances.ts';
import { PostgresSessions } from './sessions.ts';

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
      async (database) => this.#view(database, await findDeployment(database, options.name), options),
    );
  }

  #view(database: PostgresDatabase, deployment: string, options: StoreOptions): OpenStore {
    const { place, instanceConnection, writer, statements } = database;
    const parts = { ...options, deployment, place, instanceConnection, writer, statements, reader: database };
    const instances = new PostgresInstances(parts);
    let closed: Promise<void> | undefined;
    return {
      sessions: new PostgresSessions(parts),
      events: new PostgresEvents(parts),
      instances,
      secret: (name, keepMs) => findSecret(database, deployment, options, name, keepMs),
      close: () => (closed ??= instances.close().then(() => this.#database.release())),
    };
  }
}

/** A hash of the name, so that after a loss of data no deployment gets the key of another one. */
async function findDeployment(database: PostgresDatabase, name: string): Promise<string> {
  const key = createHash('sha256').update(name).digest().readBigInt64BE().toString();
  const text = JSON.stringify(name);
  const { deployment, makeDeployment } = database.statements;
  const find = async (): Promise<string | null | undefined> => (await database.query(deployment, [key])).rows[0]?.[0];
  let found = await find();
  if (found === undefined) {
    await database.query(makeDeployment, [key, text]);
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
