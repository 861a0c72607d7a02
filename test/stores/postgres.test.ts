import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { systemTime } from '../../src/base/system.ts';
import { describeWhereInstalled, describeWithServer } from '../kit/servers/index.ts';
import { casesFor, contractTests, idsBut, runCase, ROOM } from './contract.ts';
import { frozen, ownServer } from './outages.ts';
import { moveClock } from './postgres-clock.ts';
import { connect, newDatabase } from './postgres-views.ts';

const byTheServersClock = casesFor('lease-expiry', 'store-clock');
const bySetClock = casesFor('clock-set-back').filter((one) => !byTheServersClock.includes(one));
const onOwnServer = casesFor('outage', 'entries').filter((one) => !byTheServersClock.includes(one));

describeWithServer(
  'postgres',
  'the PostgreSQL store keeps the contract, each view on separate connections',
  (server) => {
    contractTests(byTheServersClock, () => ({ connect: () => postgres(server().url), pass: (ms) => sleep(ms) }), {
      concurrent: true,
    });

    // Each has a separate database.
    test.concurrent.each(bySetClock)('$id, by a clock that the test moves: $title', async (one) => {
      const { connect: open, now, pass, close } = await moveClock(await newDatabase(server().url));
      try {
        await runCase(one, { connect: open, time: { ...systemTime, now }, pass });
      } finally {
        await close();
      }
    });
  },
);

describeWhereInstalled('postgres', 'the PostgreSQL store on a separate server keeps', () => {
  contractTests(onOwnServer, async () => {
    const server = await ownServer('postgres');
    const client = await connect(server.url);
    return {
      connect: () => postgres(server.url),
      pass: (ms) => sleep(ms),
      outage: { begin: () => frozen(server), end: () => server.resume() },
      // The rows of all tables.
      entries: async () => {
        const tables = await client.query(
          "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information)'",
        );
        let rows = 0;
        for (const { name } of tables.rows as ReadonlyArray<{ name: string }>)
          rows += Number((await client.query(`SELECT count(*) AS n FROM ${name}`)).rows[0].n);
        return rows;
      },
    };
  });
});

describe('the PostgreSQL store', () => {
  test('keeps the contract except the cases about memory of the process', () => {
    expect(idsBut(...byTheServersClock, ...bySetClock, ...onOwnServer)).toEqual([
      'tombstone/limit',
      ...ROOM,
      'retention/process',
    ]);
  });
});
