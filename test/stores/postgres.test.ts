import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import { createStoreKit, storeContract } from '../../src/testing/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';

const applies = storeContract.filter(({ needs }) => needs !== 'process-limits');

describeWithServer(
  'postgres',
  'the PostgreSQL store keeps the contract, each view on connections of its own',
  (server) => {
    test.each(applies)('$id: $title', async ({ run }) => {
      const kit = createStoreKit({ connect: () => postgres(server().url), pass: (ms) => sleep(ms) });
      try {
        await run(kit);
      } finally {
        await kit.close();
      }
    });

    test('but for what a process holds: the database holds it', () => {
      const left = storeContract.filter((one) => !applies.includes(one)).map(({ id }) => id);
      expect(left).toEqual(['tombstone/limit', 'retention/process']);
    });
  },
);
