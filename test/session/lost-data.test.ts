/** A store that has lost its data: what the log says on each store, and what clients get. */
import Libsql from 'libsql';
import { expect, test, describe } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { say, tool } from '../kit/lab.ts';
import { later, movingTime } from '../kit/moving-time.ts';
import { durableKinds, type DurableKind } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { ownServer } from '../stores/outages.ts';
import { connect } from '../stores/postgres-views.ts';
import { openRedis } from '../stores/redis-views.ts';
import { newPath } from '../stores/sqlite-views.ts';

const LEASE_MS = 30_000;
const SESSIONS = 3;

interface Losing {
  readonly store: () => Store;
  /** All data that instances have written. */
  loseAll(): Promise<void>;
}

const KEPT_TABLES = ['migrations'];

const losing: Record<DurableKind, () => Promise<Losing>> = {
  async sqlite() {
    const path = newPath();
    const loseAll = async (): Promise<void> => {
      const database = new Libsql(path, { timeout: 2_000 });
      const tables = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .all() as {
        name: string;
      }[];
      for (const { name } of tables)
        if (!KEPT_TABLES.includes(name) && !name.startsWith('sqlite_'))
          database.exec(`DELETE FROM "${name}"`);
      database.close();
    };
    return { store: () => sqlite(path), loseAll };
  },
  async redis() {
    const { url } = await ownServer('redis');
    const ask = await openRedis(url);
    return { store: () => redis(url), loseAll: async () => void (await ask('FLUSHALL')) };
  },
  async postgres() {
    const { url } = await ownServer('postgres');
    const loseAll = async (): Promise<void> => {
      const client = await connect(url);
      const { rows } = await client.query<{ name: string }>(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'sojourn'",
      );
      const names = rows.map(({ name }) => name).filter((name) => !KEPT_TABLES.includes(name));
      await client.query(`TRUNCATE ${names.map((name) => `sojourn.${name}`).join(', ')}`);
    };
    return { store: () => postgres(url), loseAll };
  },
};

function lost({ log }: Member): number {
  const lines = log.matching(/^The store has lost sessions/, 'fatal');
  return lines.reduce((sum, { fields }) => sum + Number(fields['sessions']), 0);
}

describe.each(durableKinds)('on %s', (kind) => {
  test('lost data is called lost: once for lease and secret, and for sessions with their number', async () => {
    const { store, loseAll } = await losing[kind]();
    // On this clock no lease runs out by itself, which the log would say too.
    const time = movingTime();
    const [a, b] = await serveFleet(2, { store, leaseMs: LEASE_MS, timeProvider: time });
    const clients: RawClient[] = [];
    for (let n = 0; n < SESSIONS; n++) {
      const client = await a.openSession();
      expect(await say(client, 'count')).toBe('1');
      clients.push(client);
    }
    await loseAll();
    // A relayed client finds no record and gets its 404 without the owner.
    expect((await b.join(clients[0] as RawClient).call(...tool('count'))).response.status).toBe(
      404,
    );
    for (const client of clients)
      expect((await client.call(...tool('count'))).response.status).toBe(404);
    // The next renewals find it.
    await later(time, () =>
      [a, b].every(
        ({ log }) => log.matching(/^The lease of this instance is gone/, 'fatal').length > 0,
      ),
    );
    await until(() =>
      [a, b].every(({ log }) => log.matching(/^The secret of this deployment is gone/).length > 0),
    );
    const next = await a.openSession();
    expect(await say(b.join(next), 'count')).toBe('1');
    await a.endpoint.close({ timeoutMs: 0 });
    expect(lost(a)).toBe(SESSIONS);
    for (const { log } of [a, b]) {
      expect(log.matching(/^Another instance owns|^The lease ran out/)).toEqual([]);
      expect(log.matching(/^The lease of this instance is gone/)).toHaveLength(1);
      expect(log.matching(/^The secret of this deployment is gone/)).toHaveLength(1);
    }
  });
});

test.runIf(durableKinds.includes('redis'))(
  'evicted keys of sessions are called lost, and the lease stays',
  async () => {
    const { url } = await ownServer('redis');
    const [a] = await serveFleet(1, { store: redis(url), leaseMs: LEASE_MS });
    const ask = await openRedis(url);
    const client = await a.openSession();
    for (const key of (await ask('KEYS', `*:${client.sessionId}`)) as string[])
      await ask('DEL', key);
    expect((await client.call(...tool('count'))).response.status).toBe(404);
    await a.endpoint.close({ timeoutMs: 0 });
    expect(lost(a)).toBe(1);
    expect(a.log.matching(/Another instance owns|is gone from the store/)).toEqual([]);
  },
);

test('a GET stream whose log has lost an event in its middle is resumed as one that cannot continue', async () => {
  const path = newPath();
  const [a] = await serveFleet(1, { store: sqlite(path) });
  const client = await a.openSession();
  const stream = await client.get();
  const { id: lastEventId } = await stream.next();
  const database = new Libsql(path, { timeout: 2_000 });
  // What a fail-over may leave: the newest entry is gone, and the owner writes on.
  for (const lose of [true, false]) {
    a.endpoint.notify.toolsChanged();
    await stream.nextMessage();
    if (lose) database.exec('DELETE FROM log WHERE no = (SELECT max(no) FROM log)');
  }
  database.close();
  stream.abort();
  const resumed = await client.get({ lastEventId });
  const told = [await resumed.nextMessage(), await resumed.nextMessage()];
  const methods = ['tools', 'resources'].map((of) => ({
    method: `notifications/${of}/list_changed`,
  }));
  expect(told).toMatchObject(methods);
});
