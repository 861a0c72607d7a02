import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../test/kit/servers/start.ts';

export const storeKinds = ['sqlite', 'redis', 'postgres', 'nats'] as const;
export type StoreKind = (typeof storeKinds)[number];

export const isStoreKind = (text: string): text is StoreKind => (storeKinds as readonly string[]).includes(text);

/** A store to measure on: its URL, as the command line takes it, and a server of its own where it has one. */
export interface StoreServer {
  readonly url: string;
  close(): Promise<void>;
}

/** As their pages recommend to run them. */
const ARGUMENTS = { redis: ['--appendonly', 'yes'], postgres: [], nats: [] } as const;

export async function startStore(kind: StoreKind): Promise<StoreServer> {
  if (kind !== 'sqlite') return startServer(kind, { args: ARGUMENTS[kind] });
  const folder = mkdtempSync(join(process.env['BENCH_FOLDER'] ?? tmpdir(), 'bench-store-'));
  return {
    url: `sqlite:${join(folder, 'sessions.db')}`,
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
