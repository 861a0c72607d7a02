// @module-tag matrix
/**
 * Kills in the middle of writes, and of the server.
 * `killWriters` rejects where an acknowledged write is lost.
 */
import { test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { crashesTimeout, killsOf, killWriters, type CrashPlan } from './crashes.ts';
import { newDatabase } from './postgres-views.ts';

const KILLS = killsOf(16);

describeWithServer('postgres', 'kills in the middle of writes', (server) => {
  async function run(how: Pick<CrashPlan, 'kills' | 'server'>): Promise<void> {
    const target = await newDatabase(server().url);
    await killWriters({
      kind: 'postgres',
      target,
      store: postgres,
      ...how,
    });
  }

  test(
    `of writers: ${KILLS} lose nothing that was acknowledged, and bring back nothing that has ended`,
    () => run({ kills: KILLS }),
    crashesTimeout(KILLS),
  );

  test(
    `of the server: ${KILLS / 4} lose nothing that was acknowledged, and bring back nothing that has ended`,
    () => run({ kills: KILLS / 2, server: { process: server(), every: 1 } }),
    crashesTimeout(KILLS),
  );
});
