/**
 * A database whose clock tests move: the store calls `clock_timestamp()` without its schema, so a search path can put
 * another function in front of it.
 */
import pg from 'pg';
import { PostgresStore } from '../../packages/postgres/src/postgres-store.ts';
import type { Store } from '../../src/stores/store.ts';

const BEGIN_MS = 1_767_225_600_000;
const CLOCK = `
  CREATE SCHEMA fake;
  CREATE TABLE fake.time (ms double precision NOT NULL);
  INSERT INTO fake.time VALUES (${BEGIN_MS});
  CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT to_timestamp(ms / 1000) FROM fake.time';`;

export interface MovedClock {
  /** Store objects on the database, which ask its clock for each step. */
  connect(): Store;
  now(): number;
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

export async function moveClock(database: string): Promise<MovedClock> {
  const keeper = new pg.Client(database);
  await keeper.connect();
  await keeper.query(CLOCK);
  const url = `${database}?options=${encodeURIComponent('-c search_path=fake,pg_catalog')}`;
  const config = { connectionString: url };
  let ms = BEGIN_MS;
  return {
    connect: () => new PostgresStore({ reads: config, direct: config, schema: 'sojourn', clockGoodMs: 0 }),
    now: () => ms,
    async pass(more) {
      ms += more;
      await keeper.query('UPDATE fake.time SET ms = $1', [ms]);
    },
    close: () => keeper.end(),
  };
}
