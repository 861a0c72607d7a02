import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import { createStoreKit, storeContract } from '../../src/testing/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';

const applies = storeContract.filter(({ needs }) => needs !== 'process-limits' && needs !== 'clock-set-back');

describeWithServer('nats', 'the NATS store keeps the contract, each view on a connection of its own', (server) => {
  test.each(applies)('$id: $title', async ({ run }) => {
    const kit = createStoreKit({ connect: () => nats(server().url), pass: (ms) => sleep(ms) });
    try {
      await run(kit);
    } finally {
      await kit.close();
    }
  });
});

describe('the NATS store', () => {
  test('keeps the contract, except for data that only a process holds: here the server holds it', () => {
    const left = storeContract.filter((one) => !applies.includes(one)).map(({ id }) => id);
    expect(left).toEqual(['tombstone/limit', 'expiry/stored', 'retention/process']);
  });
});
