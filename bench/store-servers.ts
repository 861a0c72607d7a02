import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../test/kit/servers/start.ts';
import { cpuUsOf } from './process-cpu.ts';

export const storeKinds = ['sqlite', 'redis', 'postgres', 'nats'] as const;
export type StoreKind = (typeof storeKinds)[number];

export const isStoreKind = (text: string): text is StoreKind => (storeKinds as readonly string[]).includes(text);

/** A store to measure on: its URL, as the command line takes it, and a server of its own where it has one. */
export interface StoreServer {
  readonly url: string;
  /** User and system time of its processes so far; 0 where it runs in the processes that use it. */
  cpuUs(): number;
  close(): Promise<void>;
}

/** As their pages recommend to run them. */
export const storeArguments = { redis: ['--appendonly', 'yes'], postgres: [], nats: [] } as const;

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
