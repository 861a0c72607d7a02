import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import { describeWhereInstalled, describeWithServer } from '../kit/servers/index.ts';
import { casesFor, contractTests, idsBut, natsPrefix, patientTime, ROOM } from './contract.ts';
import { frozen, ownServer } from './outages.ts';

const applies = casesFor('lease-expiry', 'store-clock');
/** The log is kept for an hour at least (docs/stores/nats.md), and then its messages go by their age. */
const onOwnServer = casesFor('outage').filter((one) => !applies.includes(one));

describeWithServer('nats', 'the NATS store keeps the contract, each view on a separate connection', (server) => {
  contractTests(
    applies,
    (one) => ({
      connect: () => nats(server().url, { prefix: natsPrefix(one) }),
      time: patientTime,
      pass: (ms) => sleep(ms),
    }),
    { concurrent: true },
  );
});

describeWhereInstalled('nats', 'the NATS store on a separate server keeps', () => {
  contractTests(onOwnServer, async () => {
    const server = await ownServer('nats');
    return {
      connect: () => nats(server.url),
      pass: (ms) => sleep(ms),
      outage: { begin: () => frozen(server), end: () => server.resume() },
    };
  });
});

describe('the NATS store', () => {
  test('keeps the contract, except for data that only a process holds: here the server holds it', () => {
    const left = ['tombstone/limit', 'expiry/stored', ...ROOM, 'retention/process', 'lease/stored-death', 'forget/all'];
    expect(idsBut(...applies, ...onOwnServer)).toEqual(left);
  });
});
