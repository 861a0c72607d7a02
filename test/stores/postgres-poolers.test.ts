/** A real PgBouncer between the store and its server, and another program that shares it. */
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { describeWithPgBouncer, startPgBouncer } from '../kit/servers/pgbouncer.ts';
import { describeWithServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect, FENCE, newDatabase, openView, recordOf } from './postgres-views.ts';

const POOLED = {
  code: 'STORE_UNAVAILABLE',
  message: expect.stringMatching(/pooler.*the URL of the server itself/),
};
/** Connections to the server that PgBouncer has at most. */
const POOL = 4;

/** The state of the connections that PgBouncer lends to another program: settings, channels, locks. */
async function lent(bouncer: string, count: number): Promise<ReadonlyMap<number, unknown>> {
  const clients = await Promise.all(Array.from({ length: count }, () => connect(bouncer)));
  await Promise.all(clients.map((client) => client.query('BEGIN')));
  const found = await Promise.all(
    clients.map(async (client) => {
      const { rows } = await client.query(
        'SELECT name, setting, pg_backend_pid() AS pid FROM pg_settings ORDER BY name',
      );
      const channels = (await client.query('SELECT pg_listening_channels() AS name')).rows;
      const locks = (await client.query(`SELECT objid FROM pg_locks WHERE locktype = 'advisory'`))
        .rows;
      const settings = rows.map(({ name, setting }) => [name, setting] as const);
      const ignored = ['application_name', 'transaction_isolation'];
      return [
        rows[0].pid as number,
        { settings: settings.filter(([name]) => !ignored.includes(name)), channels, locks },
      ] as const;
    }),
  );
  await Promise.all(clients.map((client) => client.query('ROLLBACK')));
  return new Map(found);
}

function through(bouncer: TestServer, database: string): string {
  return bouncer.url.replace(/[^/]*$/, database.split('/').at(-1) ?? '');
}

describeWithServer('postgres', 'the PostgreSQL store behind PgBouncer', (server) => {
  describeWithPgBouncer('of Debian', () => {
    test.each([
      ['gives out the connection that was given back last', {}, 0],
      ['gives out its connections in turn', { server_round_robin: 1 }, 0],
      ['has one connection', { default_pool_size: 1 }, 0],
      ['serves another program at the same time', {}, POOL],
    ])(
      'refuses a pooler that %s, and leaves the connections of other programs unchanged',
      async (_, settings: Readonly<Record<string, number>>, others) => {
        const database = await newDatabase(server().url);
        const size = settings['default_pool_size'] ?? POOL;
        const bouncer = await startPgBouncer(server(), 'transaction', {
          default_pool_size: POOL,
          ...settings,
        });
        const url = through(bouncer, database);
        const before = await lent(url, size);
        expect(before.size).toBe(size);
        const other = new pg.Pool({ connectionString: url, max: POOL });
        onTestFinished(() => other.end());
        let busy = true;
        const work = Array.from({ length: others }, async () => {
          while (busy) await other.query('SELECT 1');
        });
        for (let n = 0; n < (others > 0 ? 20 : 3); n++)
          await expect(open(url)).rejects.toMatchObject(POOLED);
        busy = false;
        await Promise.all(work);
        expect(await lent(url, size)).toEqual(before);
      },
    );

    test('refuses a pooler that gives each statement another connection', async () => {
      const database = await newDatabase(server().url);
      const url = through(
        await startPgBouncer(server(), 'statement', { default_pool_size: POOL }),
        database,
      );
      const other = await connect(url);
      for (let n = 0; n < 3; n++) await expect(open(url)).rejects.toMatchObject(POOLED);
      for (let n = 0; n < POOL * 2; n++) {
        expect((await other.query('SHOW statement_timeout')).rows).toEqual([
          { statement_timeout: '0' },
        ]);
        expect((await other.query('SELECT pg_listening_channels()')).rows).toEqual([]);
      }
    });

    test('works with a pooler that keeps connections', async () => {
      const bouncer = await startPgBouncer(server(), 'session');
      const url = through(bouncer, await newDatabase(server().url));
      const [here, there] = [
        await openView(url),
        await openView(postgres(new pg.Pool({ connectionString: url }))),
      ];
      const heard: unknown[] = [];
      await there.instances.announce({ id: 'there', state: 'serving', version: '1' }, (from) =>
        heard.push(from),
      );
      await here.records.create(recordOf('s'));
      expect(await here.records.save('s', FENCE, { stamp: 1 })).toBe('written');
      expect(await there.records.read('s')).toMatchObject({ stamp: 1 });
      expect(await here.instances.send('here', 'there', { kind: 'word' })).toBe('sent');
      await until(() => heard.length === 1);
    });
  });
});

const open = (url: string): Promise<unknown> => openView(url, { leaseMs: 1_500 });
