/**
 * Stores that the instances of a fleet in one process share, as separate processes would: for
 * `describe.each(storeKinds)`.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { inMatrix } from './matrix.ts';
import {
  isAvailable,
  missingServer,
  serverKinds,
  startServer,
  type ServerKind,
  type TestServer,
} from './servers/index.ts';
import { temporaryFolder } from './temporary.ts';

const openers = { redis, postgres } as const;

export type StoreKind = 'memory' | 'sqlite' | ServerKind;

/**
 * Outside of the matrix two stores stand for all above the store contract: memory, which answers at once, and Redis,
 * which answers later; SQLite where processes share one.
 */
const WANTED = inMatrix<ServerKind>(serverKinds, ['redis']);
const SERVED = WANTED.filter(isAvailable);
export type DurableKind = Exclude<StoreKind, 'memory'>;

/** The stores that processes can share. */
export const durableKinds: readonly DurableKind[] = ['sqlite', ...SERVED];
export const storeKinds: readonly StoreKind[] = [
  'memory',
  ...inMatrix<DurableKind>(durableKinds, SERVED),
];

const servers = new Map<ServerKind, TestServer>();

/** For each file, outside of its tests: it has a server of each kind from its first test to its last. */
export function useSharedStores(): void {
  beforeAll(async () => {
    await Promise.all(SERVED.map(async (kind) => servers.set(kind, await startServer(kind))));
  });
  afterAll(async () => {
    await Promise.all([...servers.values()].map(async (server) => server.close()));
    servers.clear();
  });
  for (const kind of WANTED.filter((one) => !isAvailable(one))) {
    describe.skip(missingServer(kind), () => test.todo('what is tested on every store'));
  }
}

let stores = 0;

/** Called for each instance: returns one object for all, or a separate connection each. Removed after the test. */
export function sharedStore(kind: StoreKind): () => Store {
  if (kind === 'memory') {
    const store = memory();
    return () => store;
  }
  if (kind === 'sqlite') {
    const path = newFile();
    return () => sqlite(path);
  }
  const url = urlOf(kind);
  const prefix = `test-${(stores += 1)}-`;
  return () => renamed(openers[kind](url), prefix);
}

/** For a process that opens the store itself: the argument of the store's function. The memory store takes none. */
export function sharedTarget(kind: StoreKind): string {
  if (kind === 'memory') return '';
  return kind === 'sqlite' ? newFile() : urlOf(kind);
}

function newFile(): string {
  return join(temporaryFolder(), 'sessions.db');
}

/**
 * For processes: the URL of a store (for SQLite the deployment's own file), and variables that separate the
 * deployments.
 */
export function sharedDeployment(kind: DurableKind): {
  store?: string;
  env?: Record<string, string>;
} {
  return kind === 'sqlite'
    ? {}
    : { store: urlOf(kind), env: { SOJOURN_DEPLOYMENT: `test-${(stores += 1)}` } };
}

function urlOf(kind: ServerKind): string {
  const server = servers.get(kind);
  if (server === undefined)
    throw new Error(
      `${kind}: its server runs only in the tests of a file that calls useSharedStores()`,
    );
  return server.url;
}

/** The tests of a file share a server, so each has its own names. */
function renamed(store: Store, prefix: string): Store {
  const { kind, durable } = store;
  return {
    kind,
    durable,
    open: (options) => store.open({ ...options, deployment: `${prefix}${options.deployment}` }),
  };
}
