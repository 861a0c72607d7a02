// @module-tag matrix
/**
 * Kills in the middle of writes, and every other time of Redis too, which keeps an append-only file.
 * `killWriters` rejects where an acknowledged write is lost.
 */
import { onTestFinished, test } from 'vitest';
import { redis } from '../../packages/redis/src/index.ts';
import { describeWhereInstalled, startServer } from '../kit/servers/index.ts';
import { crashesTimeout, killsOf, killWriters } from './crashes.ts';

const KILLS = killsOf(30);

describeWhereInstalled('redis', 'what Redis has acknowledged', () => {
  test(
    `outlives ${KILLS} kills in the middle of writes, and nothing that has ended comes back`,
    async () => {
      const process = await startServer('redis', { args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
      onTestFinished(() => process.close());
      const common = { kind: 'redis', target: process.url, store: redis } as const;
      await killWriters({ ...common, kills: KILLS, server: { process, every: 2 }, buries: true });
    },
    crashesTimeout(KILLS),
  );
});
