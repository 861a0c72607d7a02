/** The crash runs of the stores. The writers run the build, so the kit is that of the build too. */
import { join, resolve } from 'node:path';
import type { Store } from '../../src/stores/store.ts';
import { runStoreCrashes } from '../store-contract/crash/crashes.ts';
import type { TestServer } from '../kit/servers/index.ts';

export interface CrashPlan {
  readonly kind: 'sqlite' | 'redis' | 'postgres';
  /** The path or URL that the writers open. */
  readonly target: string;
  readonly store: (target: string) => Store;
  /** Kills of writers. */
  readonly kills: number;
  /** The server is killed before the writers, once in this many rounds. */
  readonly server?: { readonly process: TestServer; readonly every: number };
  /** SQLite: one of the writers copies the log into the file at the same time. */
  readonly copies?: boolean;
  readonly buries?: boolean;
}

const ROOT = resolve(import.meta.dirname, '../..');
const FOLDERS = { sqlite: 'src/stores/sqlite', redis: 'packages/redis/src', postgres: 'packages/postgres/src' };

/** For a test's time limit. */
export const crashesTimeout = (kills: number): number => 30_000 + kills * 4_000;

/**
 * The number of kills. `SOJOURN_KILLS=200 npx vitest run test/stores/STORE-crash.test.ts` kills more often and prints
 * what it found.
 */
export const killsOf = (usual: number): number => Number(process.env['SOJOURN_KILLS'] ?? usual);

export async function killWriters({ kind, target, store, server, copies, ...plan }: CrashPlan): Promise<void> {
  const report = await runStoreCrashes({
    ...plan,
    store: { module: join(ROOT, FOLDERS[kind], 'index.ts'), name: kind, target },
    connect: () => store(target),
    ...(server !== undefined && {
      server: { kill: () => server.process.killed(), start: () => server.process.start(), every: server.every },
    }),
    ...(copies === true && { beside: join(import.meta.dirname, 'processes/copy-log.mjs') }),
  });
  if (process.env['SOJOURN_KILLS'] !== undefined) console.log(JSON.stringify(report));
}
