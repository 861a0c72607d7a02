/**
 * Stores of the build, opened in this process, with the figures that can be read from outside: bytes sent and bytes
 * kept.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { createClient } from 'redis';
import type { Store } from '../src/stores/store.ts';
import { openView, type View, type ViewSettings } from '../test/store-contract/view.ts';
import { startServer } from '../test/kit/servers/start.ts';
import { cpuUsOf } from './process-usage.ts';
import { storeArguments, type StoreKind } from './store-servers.ts';

/** Totals so far, by name. */
export type Counters = Readonly<Record<string, number>>;

export interface StoreViews {
  open(name: string): Promise<View>;
  /** User and system time of the server's processes; `undefined` where there is no server. */
  serverUs(): number | undefined;
  counters(): Promise<Counters>;
  /** Bytes on disk, or in the memory of a store that keeps its data there. */
  heldBytes(): Promise<number>;
  close(): Promise<void>;
}

export interface ViewsOptions {
  /** SQLite's setting. */
  readonly synchronous: 'normal' | 'full';
}

interface Build {
  readonly systemRandom: ViewSettings['random'];
  readonly systemTime: ViewSettings['time'];
}

const DIST = process.env['BENCH_DIST'] ?? join(import.meta.dirname, '../dist');
const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(join(DIST, file)).href)) as T;
const silent: ViewSettings['logger'] = { debug() {}, info() {}, warn() {}, error: console.error, fatal() {} };

async function loadStore<K extends StoreKind>(kind: K): Promise<(...given: readonly unknown[]) => Store> {
  const module = await load<Record<string, (...given: readonly unknown[]) => Store>>(`stores/${kind}/index.js`);
  const create = module[kind];
  if (create === undefined) throw new Error(`the build has no ${kind}`);
  return create;
}

async function optionsOf(name: string): Promise<ViewSettings> {
  const { systemRandom, systemTime } = await load<Build>('base/system.js');
  return {
    name,
    time: systemTime,
    random: systemRandom,
    logger: silent,
    leaseMs: 30_000,
    keepMs: 600_000,
    log: { ttlMs: 3_600_000, events: 1_000, bytes: 1_048_576 },
    eventLogBytes: 268_435_456,
    tombstones: 100_000,
  };
}

async function ownServer(kind: Exclude<StoreKind, 'sqlite'>) {
  const server = await startServer(kind, { args: storeArguments[kind] });
  const serverUs = (): number => server.processes.reduce((sum, pid) => sum + cpuUsOf(pid), 0);
  return { server, serverUs };
}

export async function openViews(kind: StoreKind, { synchronous }: ViewsOptions): Promise<StoreViews> {
  const create = await loadStore(kind);
  switch (kind) {
    case 'sqlite':
      return sqliteViews(create, synchronous);
    case 'redis':
      return redisViews(create);
    case 'postgres':
      return postgresViews(create);
  }
}

type Create = Awaited<ReturnType<typeof loadStore>>;

function sqliteViews(create: Create, synchronous: string): StoreViews {
  const folder = mkdtempSync(join(process.env['BENCH_FOLDER'] ?? tmpdir(), 'bench-store-'));
  const path = join(folder, 'sessions.db');
  // Keeps the process alive; the store's mailboxes do not.
  const alive = setInterval(() => undefined, 1_000);
  return {
    open: async (name) => openView(create({ path, synchronous }), await optionsOf(name)),
    serverUs: () => undefined,
    counters: async () => ({}),
    heldBytes: async () =>
      ['', '-wal'].reduce((sum, suffix) => sum + (statSync(path + suffix, { throwIfNoEntry: false })?.size ?? 0), 0),
    async close() {
      clearInterval(alive);
      rmSync(folder, { recursive: true });
    },
  };
}

async function redisViews(create: Create): Promise<StoreViews> {
  const { server, serverUs } = await ownServer('redis');
  const asker = await createClient({ url: server.url, RESP: 2 }).connect();
  const fact = async (section: string, name: string): Promise<number> =>
    Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(await asker.sendCommand<string>(['INFO', section]))?.[1]);
  return {
    open: async (name) => openView(create(server.url), await optionsOf(name)),
    serverUs,
    counters: async () => ({ 'bytes sent': await fact('stats', 'total_net_input_bytes') }),
    heldBytes: () => fact('memory', 'used_memory'),
    async close() {
      asker.destroy();
      await server.close();
    },
  };
}

async function postgresViews(create: Create): Promise<StoreViews> {
  const { server, serverUs } = await ownServer('postgres');
  const asker = new pg.Client(server.url);
  await asker.connect();
  const ask = async (text: string): Promise<number> =>
    Number((await asker.query<{ n: string }>(`SELECT ${text} AS n`)).rows[0]?.n);
  const tables = `(SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = 'sojourn' AND relkind = 'r')`;
  return {
    open: async (name) => openView(create(server.url), await optionsOf(name)),
    serverUs,
    counters: async () => ({ 'WAL bytes': await ask(`pg_current_wal_insert_lsn() - '0/0'`) }),
    heldBytes: () => ask(tables),
    async close() {
      await asker.end();
      await server.close();
    },
  };
}
