/** The store object. All endpoints that share it use one open file: the first one opens it, the last one closes it. */
import { digestOf } from '../../base/digest.ts';
import { LEASES } from '../shared/instances.ts';
import { kindsOf, openView } from '../kernel/open-view.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { Kind, OpenStore, Store, StoreOptions } from '../store.ts';
import { storeClock } from './clock.ts';
import { leaseClock } from './lease-clock.ts';
import { SqliteMailboxes } from './mailboxes.ts';
import { openFile, type FileSettings } from './open-file.ts';
import { SqliteBackend, type SqliteSpace } from './sqlite-backend.ts';
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
    return this.#file.view(
      () => openFile(this.#settings, options, options.logger),
      async (file) => {
        const leases = await leaseClock(file, spaceOf(options.name, LEASES), clock, options.leaseMs);
        const spaces = new Map<Kind, SqliteSpace>();
        for (const kind of kindsOf(options))
          spaces.set(kind, { no: spaceOf(options.name, kind), clock: kind === LEASES ? leases : clock });
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

/** The records of one kind in a deployment: 48 bits of a hash of their names, which SQLite keeps in 6 bytes. */
const spaceOf = (name: string, { name: kind }: Kind): number => digestOf(JSON.stringify([name, kind])).readUIntBE(0, 6);
