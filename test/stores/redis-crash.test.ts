// @module-tag matrix
/** Kills in the middle of writes, and every other time of Redis too, which keeps an append-only file. */
import { test } from 'vitest';
import { redis } from '../../packages/redis/src/index.ts';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { crashesTimeout, killing, killsOf, killWriters } from './crashes.ts';
import { ownServer } from './outages.ts';

const KILLS = killsOf(30);

describeWhereInstalled('redis', 'what Redis has acknowledged', () => {
  test(
    `outlives ${KILLS} kills in the middle of writes, and nothing that has ended comes back`,
    async () => {
      const server = await ownServer('redis', '--appendonly', 'yes', '--appendfsync', 'always');
      const plan = { kind: 'redis', target: server.url, store: redis } as const;
      await killWriters({ ...plan, kills: KILLS, server: killing(server, 2), buries: true });
    },
    crashesTimeout(KILLS),
  );
});
