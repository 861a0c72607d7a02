import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Connection, placeOf } from '../../packages/postgres/src/connection.ts';
import { migrationSql, postgres, type PostgresOptions } from '../../packages/postgres/src/index.ts';
import { Deadlines } from '../../src/stores/shared/deadlines.ts';
import { systemTime } from '../../src/base/system.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { connect, newDatabase, openView, recordOf } from './postgres-views.ts';

describeWithServer('postgres', 'the PostgreSQL store', (server) => {
  test('takes the configuration of a pool, but for its type parsers, and leaves the pool alone', async () => {
    const url = await newDatabase(server().url);
    const types = { getTypeParser: () => () => 'odd' } as unknown as pg.CustomTypesConfig;
    const admin = await connect(url);
    await admin.query(`CREATE ROLE guarded LOGIN SUPERUSER`);
    const connectionString = url.replace('//postgres@', '//guarded@');
    const options = '-c default_transaction_isolation=serializable';
    const pool = new pg.Pool({ connectionString, types, options, binary: true } as pg.PoolConfig);
    onTestFinished(() => pool.end());
    const view = await openView(postgres(pool));
    await view.records.create(recordOf('s', { fields: { a: '1' } }));
    expect(await view.records.read('s')).toEqual(recordOf('s', { fields: { a: '1' } }));
    expect((await view.records.list(1_000)).records.length).toBe(1);
    const { rows } = await admin.query(`SELECT FROM pg_stat_activity WHERE usename = 'guarded'`);
    expect(rows.length).toBeGreaterThanOrEqual(2);
    await view.close();
    expect([pool.totalCount, pool.ended, pool.listenerCount('error')]).toEqual([0, false, 0]);
  });

  test('statements that are lost with a connection leave no listeners behind', async () => {
    const config = { connectionString: server().url };
    const deadlines = new Deadlines(systemTime, 1_000);
    const connection = new Connection({
      config,
      schema: 'sojourn',
      deadlines,
      place: placeOf(config),
    });
    await connection.ready();
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const statements = Array.from({ length: 50 }, () => connection.query('SELECT 1'));
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
    ['a Client of pg', new pg.Client(), {}, /postgres\.server: got a client that is no Pool/],
    [
      'an unknown option',
      'postgres://host/db',
      { shema: 'x' },
      /Unknown option postgres\.shema; did you mean postgres\.schema/,
    ],
    ['a schema that is no text', 'postgres://host/db', { schema: 7 }, /postgres\.schema: got 7/],
    ['a schema without a name', 'postgres://host/db', { schema: '' }, /postgres\.schema/],
    ['a schema with too long a name', 'postgres://host/db', { schema: 'é'.repeat(32) }, /63 bytes/],
    ['a schema of the server', 'postgres://host/db', { schema: 'pg_mine' }, /pg_/],
    [
      'a schema that ends the body of a function',
      'postgres://host/db',
      { schema: 'a$$b' },
      /no \$\$/,
    ],
  ];
  test.each(wrong)('%s', (_, given, options, message) => {
    expect(() => postgres(given as string, options as PostgresOptions)).toThrow(message);
  });

  test.each([
    'postgress://ada:secret@host/db',
    'postgres://ada:secret@one:5432,two:5432/db',
    'postgres://ada:secret@h:x',
  ])('a URL without showing what may be a password in it: %s', (url) =>
    expect(() => postgres(url)).toThrow(/^(?!.*secret).*with one host/),
  );

  test('a configuration that pg cannot use, when it is opened', async () => {
    const url = 'postgres://ada:secret@127.0.0.1:1/db?sslmode=verify-full&sslrootcert=/none.pem';
    const refused = {
      storeProblem: { lasting: true, what: expect.stringMatching(/^(?!.*secret).*none\.pem/) },
    };
    await expect(openView(url)).rejects.toMatchObject(refused);
    expect(() => migrationSql('a$$b')).toThrow(/postgres\.schema/);
  });
});
