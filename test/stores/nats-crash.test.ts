/**
 * Kills in the middle of writes, and every fourth time of the server too.
 * `killWriters` rejects where an acknowledged write is lost.
 */
import { onTestFinished, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import { describeWhereInstalled, startServer } from '../kit/servers/index.ts';
import { crashesTimeout, killsOf, killWriters } from './crashes.ts';

const KILLS = killsOf(30);

describeWhereInstalled('nats', 'the NATS store', () => {
  test(
    `${KILLS} kills in the middle of writes lose nothing that was acknowledged, and bring back nothing that has ended`,
    async () => {
      const process = await startServer('nats');
      onTestFinished(() => process.close());
      const common = { kind: 'nats', target: process.url, store: nats } as const;
      await killWriters({ ...common, kills: KILLS, server: { process, every: 4 }, buries: true });
    },
    crashesTimeout(KILLS),
  );
});
