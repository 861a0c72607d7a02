import pg from 'pg';
import { postgres } from '../../packages/postgres/src/index.ts';
import { PostgresStore } from '../../packages/postgres/src/postgres-store.ts';
import { type MovedClock, serverStoreTests } from './server-stores.ts';
import { connect, newDatabase } from './postgres-views.ts';

const BEGIN_MS = 1_767_225_600_000;
const CLOCK = `
  CREATE SCHEMA fake;
  CREATE TABLE fake.time (ms double precision NOT NULL);
  INSERT INTO fake.time VALUES (${BEGIN_MS});
  CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT to_timestamp(ms / 1000) FROM fake.time';`;

/** The store calls `clock_timestamp()` without its schema, so a search path can put another function in front of it. */
async function moveClock(server: string): Promise<MovedClock> {
  const database = await newDatabase(server);
  const keeper = new pg.Client(database);
  await keeper.connect();
  await keeper.query(CLOCK);
  const url = `${database}?options=${encodeURIComponent('-c search_path=fake,pg_catalog')}`;
  const config = { connectionString: url };
  let ms = BEGIN_MS;
  return {
    connect: () => new PostgresStore({ config, schema: 'sojourn', clockGoodMs: 0 }),
    now: () => ms,
    async pass(more) {
      ms += more;
      await keeper.query('UPDATE fake.time SET ms = $1', [ms]);
    },
    close: () => keeper.end(),
  };
}

/** The rows of all tables. */
async function counter(url: string): Promise<() => Promise<number>> {
  const client = await connect(url);
  return async () => {
    const tables = await client.query(
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information)'",
    );
    let rows = 0;
    for (const { name } of tables.rows as ReadonlyArray<{ name: string }>)
      rows += Number((await client.query(`SELECT count(*) AS n FROM ${name}`)).rows[0].n);
    return rows;
  };
}

serverStoreTests({ kind: 'postgres', store: postgres, counter, moveClock });
