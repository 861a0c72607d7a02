/** The store object. All endpoints that share it use one open file: the first one opens it, the last one closes it. */
import { LEASES } from '../shared/instances.ts';
import { kindsOf, openView } from '../kernel/open-view.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { Kind, OpenStore, Store, StoreOptions } from '../store.ts';
import { storeClock } from './clock.ts';
import { leaseClock } from './lease-clock.ts';
import { SqliteMailboxes } from './mailboxes.ts';
import { openFile, type FileSettings } from './open-file.ts';
import { RetryBackoff } from './retry-backoff.ts';
import { SqliteBackend, type SqliteSpace } from './sqlite-backend.ts';
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
      () => openFile(this.#settings, backoff, options.logger),
      async (file) => {
        const leases = await leaseClock(file, clock, options.leaseMs);
        const spaces = new Map<Kind, SqliteSpace>();
        for (const kind of kindsOf(options)) {
          const time = kind === LEASES ? leases : clock;
          spaces.set(kind, { no: await findSpace(file, options.name, kind.name), clock: time });
        }
        return this.#view(file, new SqliteBackend(file, spaces), options);
      },
    );
  }

  /** Leases do not wait behind other writes: these may wait twice for a locked file, which is longer than a lease. */
  #view(file: StoreFile, backend: SqliteBackend, options: StoreOptions): OpenStore {
    let mailboxes: SqliteMailboxes | undefined;
    return openView(
      {
        backend,
        mailboxes: (leases) =>
          (mailboxes = new SqliteMailboxes({ file, name: options.name, leases, logger: options.logger })),
        full: () => file.full,
        room: () => file.room(),
        closing: () => mailboxes?.closePeers(),
        closed: () => this.#file.release(),
      },
      options,
    );
  }
}

/** The number of the records of one kind in a deployment. */
async function findSpace(file: StoreFile, name: string, kind: string): Promise<number> {
  const { database } = file;
  const key = JSON.stringify([name, kind]);
  const find = (): number | undefined => database.one<[number]>(SQL.space, [key])?.[0];
  const found = await file.read(find);
  if (found !== undefined) return found;
  return file.write(() => {
    database.run(SQL.makeSpace, [key]);
    return find() as number;
  });
}
