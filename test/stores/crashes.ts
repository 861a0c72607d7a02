/** The crash runs of the stores. `SOJOURN_KILLS=200 npx vitest run test/stores/STORE-crash.test.ts` kills more often. */
import { join, resolve } from 'node:path';
import type { Store } from '../../src/stores/store.ts';
import { runStoreCrashes, type StoreCrashes } from '../store-contract/crash/crashes.ts';
import type { TestServer } from '../kit/servers/index.ts';

export interface CrashPlan extends Pick<StoreCrashes, 'kills' | 'server' | 'buries' | 'beside'> {
  readonly kind: 'sqlite' | 'redis' | 'postgres';
  /** The path or URL that the writers open. */
  readonly target: string;
  readonly store: (target: string) => Store;
}

const ROOT = resolve(import.meta.dirname, '../..');
const FOLDERS = { sqlite: 'src/stores/sqlite', redis: 'packages/redis/src', postgres: 'packages/postgres/src' };

/** For a test's time limit. */
export const crashesTimeout = (kills: number): number => 30_000 + kills * 10_000;

export const killsOf = (usual: number): number => Number(process.env['SOJOURN_KILLS'] ?? usual);

/** The server is killed before the writers, once in `every` rounds. */
export const killing = (server: TestServer, every: number): NonNullable<StoreCrashes['server']> => ({
  kill: () => server.killed(),
  start: () => server.start(),
  every,
});

/** Rejects where an acknowledged write is lost. */
export async function killWriters({ kind, target, store, ...plan }: CrashPlan): Promise<void> {
  const module = { module: join(ROOT, FOLDERS[kind], 'index.ts'), name: kind, target };
  await runStoreCrashes({ ...plan, store: module, connect: () => store(target) });
}
