/** The store object. All endpoints that share it use one open file: the first one opens it, the last one closes it. */
import { recordsOf } from '../shared/kinds.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { Kind, OpenStore, Store, StoreOptions } from '../store.ts';
import { storeClock, type StoreClock } from './clock.ts';
import { SqliteInstances } from './instances.ts';
import { SqliteRecordTable } from './record-table.ts';
import { openFile, type FileSettings } from './open-file.ts';
import { RetryBackoff } from './retry-backoff.ts';
import { SqliteRecords } from './records.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

export class SqliteStore implements Store {
  readonly kind = 'sqlite';
  readonly durable = true;
  readonly inProcess = false;
  readonly #settings: FileSettings;
  readonly #file = new SharedResource<StoreFile>();

  constructor(settings: FileSettings) {
    this.#settings = settings;
  }

  open(options: StoreOptions): Promise<OpenStore> {
    const clock = storeClock(options.time);
    const backoff = new RetryBackoff(options.time, options.random);
    return this.#file.view(
      () => openFile(this.#settings, clock, backoff, options.logger),
      async (file) => {
        const deployment = await findSpace(file, options.name);
        const spaces = new Map<string, number>();
        for (const { name } of [...options.kinds, SECRETS]) spaces.set(name, await findSpace(file, options.name, name));
        return this.#view({ file, deployment, clock, backoff, options }, spaces);
      },
    );
  }

  /** `spaces`: of each kind. */
  #view(parts: ViewParts, spaces: ReadonlyMap<string, number>): OpenStore {
    const { file, deployment, clock, backoff, options } = parts;
    const { leaseMs, logger, random, kinds } = options;
    const tableOf = (kind: Kind): SqliteRecordTable =>
      new SqliteRecordTable(file.database, spaces.get(kind.name) ?? 0, kind, clock);
    const instances = new SqliteInstances({ file, deployment, clock, backoff, leaseMs, random, logger });
    const records = recordsOf([...kinds, SECRETS], (kind) => new SqliteRecords(file, tableOf(kind)));
    const secrets = new Secrets(records(SECRETS), random);
    let closed: Promise<void> | undefined;
    return {
      records,
      instances,
      secret: (name, keepMs) => secrets.get(name, keepMs),
      full: () => file.full,
      close: () => (closed ??= instances.close().then(() => this.#file.release())),
    };
  }
}

interface ViewParts {
  readonly file: StoreFile;
  readonly deployment: number;
  readonly clock: StoreClock;
  readonly backoff: RetryBackoff;
  readonly options: StoreOptions;
}

/** The number of a deployment, or of its records of one kind. */
async function findSpace(file: StoreFile, name: string, kind?: string): Promise<number> {
  const { database } = file;
  const key = JSON.stringify(kind === undefined ? name : [name, kind]);
  const find = (): number | undefined => database.one<[number]>(SQL.space, [key])?.[0];
  const found = await file.read(find);
  if (found !== undefined) return found;
  return file.write(() => {
    database.run(SQL.makeSpace, [key]);
    return find() as number;
  });
}
