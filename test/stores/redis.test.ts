import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { redis } from '../../packages/redis/src/index.ts';
import { describeWhereInstalled, describeWithServer } from '../kit/servers/index.ts';
import { casesFor, contractTests, idsBut, ROOM } from './contract.ts';
import { frozen, ownServer } from './outages.ts';
import { openRedis } from './redis-views.ts';

const applies = casesFor('lease-expiry', 'store-clock');
const onOwnServer = casesFor('outage', 'entries').filter((one) => !applies.includes(one));

describeWithServer('redis', 'the Redis store keeps the contract, each view on separate connections', (server) => {
  contractTests(applies, () => ({ connect: () => redis(server().url), pass: (ms) => sleep(ms) }), { concurrent: true });
});

describeWhereInstalled('redis', 'the Redis store on a separate server keeps', () => {
  contractTests(onOwnServer, async () => {
    const server = await ownServer('redis');
    const ask = await openRedis(server.url);
    return {
      connect: () => redis(server.url),
      pass: (ms) => sleep(ms),
      outage: { begin: () => frozen(server), end: () => server.resume() },
      entries: async () => Number(await ask('DBSIZE')),
    };
  });
});

describe('the Redis store', () => {
  test('passes the whole contract except the cases about memory of the process', () => {
    const left = ['tombstone/limit', 'expiry/stored', ...ROOM, 'retention/process', 'lease/stored-death'];
    expect(idsBut(...applies, ...onOwnServer)).toEqual(left);
  });
});
