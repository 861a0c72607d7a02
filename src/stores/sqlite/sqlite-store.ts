/** The store object. All endpoints that share it use one open file: the first one opens it, the last one closes it. */
import { Instances, LEASES } from '../shared/instances.ts';
import { KernelRecords } from '../kernel/records.ts';
import { TurnWrites } from '../kernel/turn-writes.ts';
import { recordsOf } from '../shared/kinds.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { OpenStore, Store, StoreOptions } from '../store.ts';
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
        const kinds = [...options.kinds, SECRETS, LEASES];
        const spaces = new Map<string, SqliteSpace>();
        for (const kind of kinds) {
          const time = kind === LEASES ? leases : clock;
          spaces.set(kind.name, { no: await findSpace(file, options.name, kind.name), clock: time });
        }
        return this.#view(file, backoff, new SqliteBackend(file, spaces), options);
      },
    );
  }

  #view(file: StoreFile, backoff: RetryBackoff, backend: SqliteBackend, options: StoreOptions): OpenStore {
    const { leaseMs, logger, random } = options;
    const writes = new TurnWrites(backend, false);
    // Not behind other writes: these may wait twice for a locked file, which is longer than a lease.
    const leaseWrites = new TurnWrites(backend, false);
    const made: KernelRecords[] = [];
    const records = recordsOf([...options.kinds, SECRETS, LEASES], (kind) => {
      const own = { kind, backend, writes: kind === LEASES ? leaseWrites : writes };
      const one = new KernelRecords({ ...own, isAlone: false });
      made.push(one);
      return one;
    });
    const leases = records(LEASES);
    const mailboxes = new SqliteMailboxes({ file, name: options.name, leases, backoff, logger });
    const instances = new Instances({ records: leases, mailboxes, leaseMs, logger });
    const secrets = new Secrets(records(SECRETS), random);
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      mailboxes.closePeers();
      await instances.close();
      await Promise.all(made.map((one) => one.settled()));
      await this.#file.release();
    };
    return {
      records,
      instances,
      secret: (name, keepMs) => secrets.get(name, keepMs),
      full: () => file.full,
      room: () => file.room(),
      close: () => (closed ??= close()),
    };
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
