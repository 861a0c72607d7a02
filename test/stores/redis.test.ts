import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { redis } from '../../src/stores/redis/index.ts';
import { createStoreKit, storeContract } from '../../src/testing/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';

const applies = storeContract.filter(({ needs }) => needs !== 'process-limits' && needs !== 'clock-set-back');

describeWithServer('redis', 'the Redis store keeps the contract, each view on separate connections', (server) => {
  test.each(applies)('$id: $title', async ({ run }) => {
    const kit = createStoreKit({ connect: () => redis(server().url), pass: (ms) => sleep(ms) });
    try {
      await run(kit);
    } finally {
      await kit.close();
    }
  });
});

describe('the Redis store', () => {
  test('passes the whole contract except the cases about memory of the process', () => {
    const left = storeContract.filter((one) => !applies.includes(one)).map(({ id }) => id);
    expect(left).toEqual(['tombstone/limit', 'expiry/stored', 'retention/process']);
  });
});
