import { type AddressInfo, createConnection, createServer } from 'node:net';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Connection, placeOf, type Connector } from '../../packages/postgres/src/connection.ts';
import { connectionStatements } from '../../packages/postgres/src/connection-statements.ts';
import { postgres, type PostgresOptions } from '../../packages/postgres/src/index.ts';
import { loadPg, type PgPool } from '../../packages/postgres/src/pg.ts';
import { PostgresReader } from '../../packages/postgres/src/reader.ts';
import { Deadlines } from '../../src/stores/shared/deadlines.ts';
import { systemTime } from '../../src/base/system.ts';
import { createLog } from '../kit/log.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect, FENCE, newDatabase, openView, recordOf } from './postgres-views.ts';

const AWAY = { code: 'STORE_AWAY' };

function newPool(options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(options);
  onTestFinished(() => pool.end());
  return pool;
}

/** Its first `ReadyForQuery` is followed by what a server says whose postmaster was killed. */
async function acceptsAndGivesUp(to: number): Promise<number> {
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
  const fields = 'SFATAL\0VFATAL\0C57P02\0Mterminating connection due to unexpected postmaster exit\0\0';
  const gaveUp = Buffer.concat([Buffer.from([0x45, 0, 0, 0, fields.length + 4]), Buffer.from(fields)]);
  const proxy = createServer((client) => {
    const upstream = createConnection(to, '127.0.0.1');
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      if (!chunk.subarray(-ready.length).equals(ready)) client.write(chunk);
      else {
        client.end(Buffer.concat([chunk, gaveUp]));
        upstream.destroy();
      }
    });
  });
  onTestFinished(() => void proxy.close());
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  return (proxy.address() as AddressInfo).port;
}

describeWithServer('postgres', 'the PostgreSQL store', (server) => {
  describe('on a pool of the caller', () => {
    test('reads with its connections, without changing or closing them', async () => {
      const pool = newPool({ connectionString: await newDatabase(server().url), max: 2 });
      const before = (await pool.query('SHOW ALL')).rows;
      const view = await openView(postgres(pool));
      await view.records.create(recordOf('s'));
      await Promise.all(Array.from({ length: 10 }, async () => view.records.read('s')));
      const settings = await Promise.all([pool.query('SHOW ALL'), pool.query('SHOW ALL')]);
      for (const { rows } of settings) expect(rows).toEqual(before);
      await view.close();
      expect(pool.ended).toBe(false);
      expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      expect(pool.waitingCount).toBe(0);
    });

    test('ignores the type parsers of the application', async () => {
      const odd = { getTypeParser: () => () => 'odd' } as unknown as pg.CustomTypesConfig;
      const view = await openView(postgres(newPool({ connectionString: await newDatabase(server().url), types: odd })));
      await view.records.create(recordOf('s', { epoch: 1, fields: { a: '1' } }));
      expect(await view.records.read('s')).toEqual(recordOf('s', { fields: { a: '1' } }));
      expect((await view.records.list(1_000)).records.length).toBe(1);
    });

    test('does not wait forever for a connection', async () => {
      const pool = newPool({ connectionString: await newDatabase(server().url), max: 1 });
      const view = await openView(postgres(pool), { leaseMs: 1_000 });
      await view.records.create(recordOf('s'));
      const taken = await pool.connect();
      await expect(view.records.read('s')).rejects.toMatchObject(AWAY);
      expect(await view.records.save('s', FENCE, { stamp: 1 })).toBe('written');
      taken.release();
      expect(await view.records.read('s')).toMatchObject({ stamp: 1 });
      // The connection that came too late went back.
      await until(() => pool.idleCount === 1 && pool.waitingCount === 0);
    });

    test('does not end a process that does not listen for errors of idle connections', async () => {
      const url = await newDatabase(server().url);
      const pool = newPool({ connectionString: url });
      const view = await openView(postgres(pool));
      await view.records.create(recordOf('s'));
      await view.records.read('s');
      await (
        await connect(url)
      ).query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()`);
      await until(() => pool.totalCount === 0);
      await view.records.read('s');
      await view.close();
      expect(pool.listenerCount('error')).toBe(0);
    });

    test('does not end a process when a server closes a connection in the packet that accepts it', async () => {
      const port = await acceptsAndGivesUp(Number(new URL(server().url).port));
      const { username: user, pathname } = new URL(await newDatabase(server().url));
      const pool = newPool({ host: '127.0.0.1', port, user, database: pathname.slice(1) });
      const deadlines = new Deadlines(systemTime, 2_000);
      const reader = new PostgresReader({
        pool: pool as unknown as PgPool,
        own: false,
        place: 'there',
        deadlines,
        logger: createLog(),
      });
      await expect(reader.query(connectionStatements.serverState, [])).rejects.toThrow();
      await until(() => pool.totalCount === 0);
      await reader.close();
      expect([pool.listenerCount('acquire'), pool.listenerCount('error')]).toEqual([0, 0]);
    });

    test('works under an isolation level that rejects concurrent changes', async () => {
      const url = await newDatabase(server().url);
      const options = '-c default_transaction_isolation=serializable';
      const pools = [newPool({ connectionString: url, options }), newPool({ connectionString: url, options })];
      const views = await Promise.all(pools.map((pool) => openView(postgres(pool))));
      const [one] = views;
      for (let n = 0; n < 20; n++) {
        await one?.records.create(recordOf(`s${n}`, { owner: null }), 1 - Date.now());
        const reads = await Promise.all(
          views.flatMap((view) => [view, view]).map(async (view) => view.records.read(`s${n}`)),
        );
        expect(new Set(reads)).toEqual(new Set([undefined]));
      }
      await Promise.all(views.map(async (view) => view.records.trim()));
    });

    test('passes its password to the connections of the store', async () => {
      const url = await newDatabase(server().url);
      const asked: string[] = [];
      const password = (): string => {
        asked.push('password');
        return 'secret';
      };
      const admin = await connect(url);
      await admin.query(`CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'secret'`);
      const pool = newPool({ connectionString: url.replace('//postgres@', '//guarded@'), password });
      await openView(postgres(pool));
      const { rows } = await admin.query(`SELECT FROM pg_stat_activity WHERE usename = 'guarded'`);
      expect(rows.length).toBeGreaterThanOrEqual(2);
    });
  });

  test('statements that are lost with a connection leave no listeners behind', async () => {
    const config = { connectionString: server().url };
    const pgModule = await loadPg();
    const deadlines = new Deadlines(systemTime, 1_000);
    const connector: Connector = { pg: pgModule, config, deadlines, place: placeOf(pgModule, config) };
    const connection = await Connection.open(connector, { durable: true });
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const statements = Array.from({ length: 50 }, () => connection.query(connectionStatements.serverState));
    connection.destroy(new Error('lost'));
    for (const { status } of await Promise.allSettled(statements)) expect(status).toBe('rejected');
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  });
});

describe('postgres() refuses', () => {
  const wrong: Array<[what: string, server: unknown, options: unknown, message: RegExp]> = [
    ['nothing', undefined, {}, /postgres\.server: got undefined/],
    ['a URL of another kind', 'mysql://host/db', {}, /postgres\.server/],
    ['an empty text', '', {}, /postgres\.server/],
    ['a list', [], {}, /postgres\.server/],
    [
      'an unknown option',
      'postgres://host/db',
      { shema: 'x' },
      /Unknown option postgres\.shema; did you mean postgres\.schema/,
    ],
    ['a pool that reads binary', new pg.Pool({ binary: true } as pg.PoolConfig), {}, /a Pool with binary: true/],
    ['a schema that is no text', 'postgres://host/db', { schema: 7 }, /postgres\.schema: got 7/],
    ['a schema without a name', 'postgres://host/db', { schema: '' }, /postgres\.schema/],
    ['a schema with too long a name', 'postgres://host/db', { schema: 'é'.repeat(32) }, /63 bytes/],
    ['a schema of the server', 'postgres://host/db', { schema: 'pg_mine' }, /pg_/],
    ['a direct way that is none', 'postgres://host/db', { direct: 'host' }, /postgres\.direct/],
  ];
  test.each(wrong)('%s', (_, given, options, message) => {
    expect(() => postgres(given as string, options as PostgresOptions)).toThrow(message);
  });

  test('a URL without showing what may be a password in it', () => {
    expect(() => postgres('postgress://ada:secret@host/db')).toThrow(/^(?!.*secret)/);
  });
});
