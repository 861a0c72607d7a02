import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../test/kit/servers/start.ts';
import { cpuUsOf } from './process-usage.ts';

export const storeKinds = ['sqlite', 'redis', 'postgres'] as const;
export type StoreKind = (typeof storeKinds)[number];

export const isStoreKind = (text: string): text is StoreKind => (storeKinds as readonly string[]).includes(text);

/** A store to measure: its URL for the command line, and its own server where it has one. */
export interface StoreServer {
  readonly url: string;
  /** User and system time of its processes so far; 0 where the store runs inside the processes that use it. */
  cpuUs(): number;
  close(): Promise<void>;
}

/** The arguments that the stores' pages recommend. */
export const storeArguments = { redis: ['--appendonly', 'yes'], postgres: [] } as const;

export async function startStore(kind: StoreKind): Promise<StoreServer> {
  if (kind !== 'sqlite') {
    const server = await startServer(kind, { args: storeArguments[kind] });
    const cpuUs = (): number => server.processes.reduce((sum, pid) => sum + cpuUsOf(pid), 0);
    return { url: server.url, cpuUs, close: async () => server.close() };
  }
  const folder = mkdtempSync(join(process.env['BENCH_FOLDER'] ?? tmpdir(), 'bench-store-'));
  return {
    url: `sqlite:${join(folder, 'sessions.db')}`,
    cpuUs: () => 0,
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
