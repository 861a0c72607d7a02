import pg from 'pg';
import { onTestFinished } from 'vitest';
import { PostgresBackend } from '../../packages/postgres/src/backend.ts';
import { PostgresDatabase } from '../../packages/postgres/src/database.ts';
import { postgres } from '../../packages/postgres/src/index.ts';
import { movedTime } from './model-runs.ts';
import { type MovedClock, serverStoreTests } from './server-stores.ts';
import { type BackendUnderTest, KINDS, REFUSED } from './contract/backend/backend-contract.ts';
import { connect, newDatabase, storeOptions } from './postgres-views.ts';

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
  const { time, pass } = movedTime();
  let ms = BEGIN_MS;
  return {
    connect: () => postgres(config),
    time,
    now: () => ms,
    async pass(more) {
      ms += more;
      await pass(more);
      await keeper.query('UPDATE fake.time SET ms = $1', [ms]);
    },
    close: () => keeper.end(),
  };
}

/** Connections to a new database. */
async function backend(server: string): Promise<BackendUnderTest> {
  const url = await newDatabase(server);
  const spaces = new Map(KINDS.map((kind, n) => [kind, String(n + 1)]));
  return {
    async connect() {
      const settings = { config: { connectionString: url }, schema: 'sojourn' };
      const database = await PostgresDatabase.open(settings, { ...storeOptions(), kinds: KINDS });
      onTestFinished(() => database.close());
      return new PostgresBackend(database, spaces);
    },
    async refuseEntries() {
      const client = await connect(url);
      await client.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE program_limit_exceeded; END $$;
        CREATE TRIGGER refuses BEFORE INSERT ON sojourn.log FOR EACH ROW WHEN (new.data = '${REFUSED}')
        EXECUTE FUNCTION refuse()`);
    },
  };
}

serverStoreTests({ kind: 'postgres', backend, moveClock });
