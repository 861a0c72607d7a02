/** The store object: one open file for all endpoints that share it, opened by the first and closed with the last. */
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { storeClock, type StoreClock } from './clock.ts';
import { SqliteEvents } from './events.ts';
import { SqliteInstances } from './instances.ts';
import { Ledger } from './ledger.ts';
import { openFile, type FileSettings } from './open-file.ts';
import { Patience } from './patience.ts';
import { SqliteSessions } from './sessions.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

const SECRET_BYTES = 32;

export class SqliteStore implements Store {
  readonly kind = 'sqlite';
  readonly durable = true;
  readonly inProcess = false;
  readonly #settings: FileSettings;
  #file: Promise<StoreFile> | undefined;
  #views = 0;

  constructor(settings: FileSettings) {
    this.#settings = settings;
  }

  async open(options: StoreOptions): Promise<OpenStore> {
    const clock = storeClock(options.time);
    const patience = new Patience(options.time, options.random);
    this.#views++;
    try {
      const file = await (this.#file ??= openFile(this.#settings, clock, patience, options.logger));
      const deployment = await findDeployment(file, options.name);
      return this.#view({ file, deployment, clock, patience, options });
    } catch (error) {
      await this.#release();
      throw error;
    }
  }

  #view(parts: ViewParts): OpenStore {
    const { file, deployment, clock, patience, options } = parts;
    const { leaseMs, logger, tombstoneMs, retention, random } = options;
    const ledger = new Ledger(file.database, deployment, clock, tombstoneMs);
    const instances = new SqliteInstances({ file, deployment, clock, patience, leaseMs, random, logger });
    let closed: Promise<void> | undefined;
    return {
      sessions: new SqliteSessions(file, ledger),
      events: new SqliteEvents(file, ledger, retention),
      instances,
      secret: (name, keepMs) => findSecret(parts, name, keepMs),
      close: () => (closed ??= instances.close().then(() => this.#release())),
    };
  }

  /** The last view takes the file with it; whoever opens the store meanwhile opens it anew. */
  async #release(): Promise<void> {
    if (--this.#views > 0) return;
    const file = this.#file;
    this.#file = undefined;
    await (await file?.catch(() => undefined))?.close();
  }
}

interface ViewParts {
  readonly file: StoreFile;
  readonly deployment: number;
  readonly clock: StoreClock;
  readonly patience: Patience;
  readonly options: StoreOptions;
}

async function findDeployment(file: StoreFile, name: string): Promise<number> {
  const { database } = file;
  const key = JSON.stringify(name);
  const find = (): number | undefined => database.one<[number]>(SQL.deployment, [key])?.[0];
  const found = await file.read(find);
  if (found !== undefined) return found;
  return file.write(() => {
    database.run(SQL.makeDeployment, [key]);
    return find() as number;
  });
}

/** Of those who ask at once, one makes it. */
async function findSecret(
  { file, deployment, clock, options }: ViewParts,
  name: string,
  keepMs: number | undefined,
): Promise<Uint8Array> {
  const { database } = file;
  const key = [deployment, JSON.stringify(name)];
  const find = (): Uint8Array | undefined => database.one<[Uint8Array]>(SQL.secret, [...key, clock.wall()])?.[0];
  const found = await file.read(find);
  if (found !== undefined) return found;
  const made = options.random(SECRET_BYTES);
  return file.write(() => {
    const now = clock.wall();
    database.run(SQL.forgetSecrets, [now]);
    database.run(SQL.makeSecret, [...key, made, keepMs === undefined ? null : now + keepMs]);
    return find() as Uint8Array;
  });
}
