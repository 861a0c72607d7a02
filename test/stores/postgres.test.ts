import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import { systemTime } from '../../src/options/system.ts';
import { createStoreKit, storeContract } from '../../src/testing/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { moveClock } from './postgres-clock.ts';
import { newDatabase } from './postgres-views.ts';

const applies = storeContract.filter(({ needs }) => needs !== 'process-limits');
const byTheServersClock = applies.filter(({ needs }) => needs !== 'clock-set-back');
const bySetClock = applies.filter(({ needs }) => needs === 'clock-set-back');

describeWithServer(
  'postgres',
  'the PostgreSQL store keeps the contract, each view on separate connections',
  (server) => {
    test.each(byTheServersClock)('$id: $title', async ({ run }) => {
      const kit = createStoreKit({ connect: () => postgres(server().url), pass: (ms) => sleep(ms) });
      try {
        await run(kit);
      } finally {
        await kit.close();
      }
    });

    test.each(bySetClock)('$id, by a clock that the test moves: $title', async ({ run }) => {
      const { url, now, pass, close } = await moveClock(await newDatabase(server().url));
      const time = { ...systemTime, now };
      const kit = createStoreKit({ connect: () => postgres(url), time, pass });
      try {
        await run(kit);
      } finally {
        await kit.close();
        await close();
      }
    });

    test('except the cases about memory of the process', () => {
      const left = storeContract.filter((one) => !applies.includes(one)).map(({ id }) => id);
      expect(left).toEqual(['tombstone/limit', 'retention/process']);
    });
  },
);
