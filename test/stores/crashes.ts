/** The crash runs of the stores. `SOJOURN_KILLS=200 npx vitest run test/stores/STORE-crash.test.ts` kills more often. */
import { join } from 'node:path';
import { test } from 'vitest';
import { describeWhereInstalled, type ServerKind } from '../kit/servers/index.ts';
import { runStoreCrashes, type StoreCrashes } from '../store-contract/crash/crashes.ts';
import { ownServer } from './outages.ts';

export function crashTest(
  usual: number,
  plan: () => Promise<Pick<StoreCrashes, 'target' | 'server' | 'beside'>>,
): void {
  const kills = Number(process.env['SOJOURN_KILLS'] ?? usual);
  test(
    `${kills} kills in the middle of writes lose nothing that was acknowledged, and bring back nothing that has ended`,
    async () => runStoreCrashes({ ...(await plan()), kills, module: join(import.meta.dirname, 'store-at.ts') }),
    30_000 + kills * 10_000,
  );
}

/** Kills the server too. `args`: for a server that keeps what it has acknowledged. */
export function serverCrashTest(kind: ServerKind, args: readonly string[]): void {
  describeWhereInstalled(kind, `on ${kind}`, () => {
    crashTest(30, async () => {
      const server = await ownServer(kind, ...args);
      return { target: server.url, server: { kill: () => server.killed(), start: () => server.start() } };
    });
  });
}
