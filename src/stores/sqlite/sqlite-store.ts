/** The store object. All endpoints that share it use one open file. */
import { digestOf } from '../../base/digest.ts';
import { LEASES } from '../shared/instances.ts';
import { sharedStore } from '../shared/shared-store.ts';
import { kindsOf } from '../kernel/open-view.ts';
import type { Kind, Store } from '../store.ts';
import { leaseClock } from './clock.ts';
import { SqliteMailboxes } from './mailboxes.ts';
import { openFile, type FileSettings } from './open-file.ts';
import { SqliteBackend } from './sqlite-backend.ts';
import type { StoreFile } from './store-file.ts';

export const sqliteStore = (settings: FileSettings): Store =>
  sharedStore<StoreFile>(
    'sqlite',
    (options) => openFile(settings, options, options.logger),
    async (file, options) => {
      const { deployment, logger, time } = options;
      const spaces = new Map(kindsOf(options).map((kind) => [kind, spaceOf(deployment, kind)]));
      const leaseNow = await leaseClock(file, spaceOf(deployment, LEASES), time, options.leaseMs);
      let mailboxes: SqliteMailboxes | undefined;
      return {
        backend: new SqliteBackend(file, spaces, () => time.now()),
        ofLeases: new SqliteBackend(file, spaces, leaseNow),
        mailboxes: (leases) =>
          (mailboxes = new SqliteMailboxes({ file, name: deployment, leases, logger })),
        full: () => file.full,
        room: () => file.room(),
        closed: () => mailboxes?.closePeers(),
      };
    },
  );

/** The records of one kind in a deployment: 48 bits of a hash of their names, which SQLite keeps in 6 bytes. */
const spaceOf = (name: string, { name: kind }: Kind): number =>
  digestOf(JSON.stringify([name, kind])).readUIntBE(0, 6);
