import { describe, expect, test } from 'vitest';
import { migrationSql, postgres } from '../../packages/postgres/src/index.ts';
import { until } from '../kit/until.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { connect, FENCE, newDatabase, openView, recordOf } from './postgres-views.ts';
import { useAll } from './outages.ts';

const opened = (url: string, schema?: string): Promise<unknown> =>
  openView(postgres(url, { schema }));
const away = (message: RegExp): object => ({
  code: 'STORE_UNAVAILABLE',
  message: expect.stringMatching(message),
});

describeWithServer(
  'postgres',
  'the schema of the PostgreSQL store',
  (server) => {
    test('is created once, also when many processes create it at the same moment', async () => {
      const url = await newDatabase(server().url);
      await Promise.all(Array.from({ length: 8 }, () => openView(url)));
      const client = await connect(url);
      expect((await client.query('SELECT no FROM sojourn.version')).rows).toEqual([{ no: 5 }]);
    });

    test('is refused where transactions are read-only by default, also when that is set later', async () => {
      const url = await newDatabase(server().url);
      const database = new URL(url).pathname.slice(1);
      const client = await connect(url);
      await client.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
      const refused = away(/default_transaction_read_only is on, .*ALTER ROLE user SET/);
      await expect(opened(url)).rejects.toMatchObject(refused);
      expect(
        (await client.query("SELECT 1 FROM pg_namespace WHERE nspname = 'sojourn'")).rows,
      ).toEqual([]);
      await client.query(`ALTER DATABASE ${database} SET default_transaction_read_only = off`);
      const view = await openView(url, { leaseMs: 900 });
      await view.records.create(recordOf('s'));
      await client.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
      await client.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      );
      await until(async () => {
        const error: unknown = await Promise.resolve(view.records.save('s', FENCE, {})).catch(
          (cause: unknown) => cause,
        );
        return (
          error instanceof Error && error.message.includes('default_transaction_read_only is on')
        );
      });
      await client.query(`ALTER DATABASE ${database} SET default_transaction_read_only = off`);
      await until(
        async () =>
          (await Promise.resolve(view.records.save('s', FENCE, {})).catch(() => '')) === 'written',
      );
    });

    test('may have any name; schemas of different names are separate', async () => {
      const url = await newDatabase(server().url);
      const names = ['a', 'A', 'sojourn "quoted"', "it's", 'größe 🧪', 'x'.repeat(63)];
      for (const schema of names) {
        const view = await openView(postgres(url, { schema }));
        expect(await view.records.create(recordOf('s', { body: schema }))).toBe('created');
        await view.records.end('s', FENCE, 'deleted');
        expect(await view.records.create(recordOf('t'))).toBe('created');
        expect((await view.records.list(1_000)).records.length, schema).toBe(1);
      }
    });

    test('of a newer build is refused', async () => {
      const url = await newDatabase(server().url);
      await (await openView(url)).close();
      await (await connect(url)).query('UPDATE sojourn.version SET no = 6');
      await expect(opened(url)).rejects.toMatchObject(away(/newer version.*schema 6.*knows 5/));
    });

    test('gives every replicated table a key, so that a publication of all tables breaks no delete', async () => {
      const url = await newDatabase(server().url);
      const client = await connect(url);
      await client.query('CREATE PUBLICATION everything FOR ALL TABLES');
      const view = await openView(url);
      const { rows } =
        await client.query(`SELECT tablename FROM pg_publication_tables WHERE schemaname = 'sojourn'
      AND NOT EXISTS (SELECT FROM pg_index
        WHERE indrelid = format('sojourn.%I', tablename)::regclass AND (indisprimary OR indisreplident))`);
      expect(rows).toEqual([]);
      await useAll(view);
    });

    test('needs a database that keeps text as UTF-8', async () => {
      const url = await newDatabase(
        server().url,
        `ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`,
      );
      await expect(opened(url)).rejects.toMatchObject(away(/LATIN1.*UTF8/));
    });

    describe('without the right to create it', () => {
      async function asUser(
        name: string,
      ): Promise<{ url: string; admin: Awaited<ReturnType<typeof connect>> }> {
        const url = await newDatabase(server().url);
        const admin = await connect(url);
        await admin.query(`CREATE ROLE ${name} LOGIN`);
        await admin.query(`REVOKE ALL ON SCHEMA public FROM PUBLIC`);
        return { url: url.replace('//postgres@', `//${name}@`), admin };
      }

      test('the error says which right is missing, and what an administrator can run', async () => {
        const { url } = await asUser('reader');
        await expect(opened(url)).rejects.toMatchObject(
          away(/CREATE on the database.*migrationSql/),
        );
      });

      test('an administrator creates it with migrationSql, and its grants are all that the user needs', async () => {
        const { url, admin } = await asUser('app');
        await admin.query('ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC');
        // Once more it changes nothing.
        for (let n = 0; n < 2; n++)
          await admin.query(migrationSql('theirs "own"', { user: 'app' }));
        // The function of an earlier version, beside that of this one.
        await admin.query(
          'CREATE FUNCTION "theirs ""own""".write_trip(json) RETURNS integer LANGUAGE sql AS $$SELECT 0$$',
        );
        const view = await openView(postgres(url, { schema: 'theirs "own"' }));
        await useAll(view);
      });
    });
  },
  { args: ['-c', 'wal_level=logical'] },
);
