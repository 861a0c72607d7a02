// @module-tag matrix
import { test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { crashesTimeout, killing, killsOf, killWriters, type CrashPlan } from './crashes.ts';
import { newDatabase } from './postgres-views.ts';

const KILLS = killsOf(16);

describeWithServer('postgres', 'kills in the middle of writes', (server) => {
  const run = async (how: Pick<CrashPlan, 'kills' | 'server'>): Promise<void> =>
    killWriters({ kind: 'postgres', target: await newDatabase(server().url), store: postgres, ...how });

  test(
    `of writers: ${KILLS} lose nothing that was acknowledged, and bring back nothing that has ended`,
    () => run({ kills: KILLS }),
    crashesTimeout(KILLS),
  );

  test(
    `of the server: ${KILLS / 4} lose nothing that was acknowledged, and bring back nothing that has ended`,
    () => run({ kills: KILLS / 2, server: killing(server(), 1) }),
    crashesTimeout(KILLS),
  );
});
