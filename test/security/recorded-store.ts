/**
 * Durable stores that a test can search: everything that the instances asked of the store, every byte that went over
 * the wire to its server and back, and all that the files of SQLite hold in the end.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { isAvailable, serverKinds, startServer, type ServerKind } from '../kit/servers/index.ts';
import { watchedStore, type WatchedStore } from '../kit/watched-store.ts';
import { temporaryFolder } from '../kit/temporary.ts';

export const recordedKinds = ['sqlite', ...serverKinds.filter(isAvailable)] as const;
export type RecordedKind = (typeof recordedKinds)[number];

export interface Recorded {
  /** One for each instance. */
  open(): WatchedStore;
  readonly opened: readonly WatchedStore[];
  /** Records, logs, markers, mailboxes: what was asked, sent and kept. */
  everything(): Promise<Buffer>;
}

export async function recordedStore(kind: RecordedKind): Promise<Recorded> {
  const opened: WatchedStore[] = [];
  const { make, kept } = kind === 'sqlite' ? inFile() : await onServer(kind);
  return {
    opened,
    open() {
      const store = watchedStore({ durable: true, inProcess: false, inner: make() });
      opened.push(store);
      return store;
    },
    async everything() {
      const asked = opened.flatMap(({ calls }) => calls.map(({ call, args }) => `${call} ${textOf(args)}\n`));
      return Buffer.concat([Buffer.from(asked.join('')), ...(await kept())]);
    },
  };
}

/** Arguments as JSON; what JSON leaves out is a callback, or a text to be made later. */
function textOf(args: readonly unknown[]): string {
  return JSON.stringify(args, (key, value: unknown) =>
    key === 'requests' && typeof value === 'function' ? String((value as () => string)()) : value,
  );
}

interface Kept {
  make(): Store;
  kept(): Promise<Buffer[]>;
}

function inFile(): Kept {
  const folder = temporaryFolder();
  return { make: () => sqlite(join(folder, 'sessions.db')), kept: async () => filesIn(folder) };
}

async function onServer(kind: ServerKind): Promise<Kept> {
  const server = await startServer(kind);
  onTestFinished(() => server.close());
  const record: Buffer[][] = [];
  const proxy = await createFaultProxy({ port: server.port, record });
  onTestFinished(() => proxy.close());
  const url = server.url.replace(`:${server.port}`, `:${proxy.port}`);
  const make = { redis, postgres }[kind];
  return { make: () => make(url), kept: async () => record.map((chunks) => Buffer.concat(chunks)) };
}

function filesIn(folder: string): Buffer[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path));
}
