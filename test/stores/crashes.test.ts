/**
 * The crash runs of the stores: processes are killed during writes, and so are servers.
 * `SOJOURN_KILLS=200 npx vitest run test/stores/crashes.test.ts` kills more often.
 */
import { join } from 'node:path';
import Libsql from 'libsql';
import { expect, onTestFinished, test } from 'vitest';
import { isMatrix } from '../kit/matrix.ts';
import { describeWhereInstalled, serverKinds } from '../kit/servers/index.ts';
import { runStoreCrashes, type StoreCrashes } from './contract/crash/crashes.ts';
import { KEEPS_DATA, ownServer } from './outages.ts';
import { newPath } from './sqlite-views.ts';

type Plan = () => Promise<Pick<StoreCrashes, 'target' | 'server' | 'beside'>>;

function crashTest(usual: number, plan: Plan): void {
  const kills = Number(process.env['SOJOURN_KILLS'] ?? usual);
  test(
    `${kills} kills in the middle of writes lose nothing that was acknowledged, and bring back nothing that has ended`,
    async () => runStoreCrashes({ ...(await plan()), kills }),
    30_000 + kills * 10_000,
  );
}

// Also during copies of the log; afterwards the file is whole.
crashTest(isMatrix ? 100 : 20, async () => {
  const target = newPath();
  onTestFinished(() => {
    const check = new Libsql(target).prepare('PRAGMA integrity_check').raw(true);
    expect(check.all([])).toEqual([['ok']]);
  });
  return { target, beside: join(import.meta.dirname, 'processes/copy-log.mjs') };
});

if (isMatrix)
  for (const kind of serverKinds)
    describeWhereInstalled(kind, `on ${kind}`, () => {
      crashTest(100, async () => {
        const server = await ownServer(kind, ...KEEPS_DATA[kind]);
        return {
          target: server.url,
          server: { kill: () => server.killed(), start: () => server.start() },
        };
      });
    });
