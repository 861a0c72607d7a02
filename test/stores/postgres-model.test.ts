/**
 * Random operations on a real server whose clock is the test's: the store asks `clock_timestamp()` by that name alone, and a
 * search path may put another in front of it.
 */
import pg from 'pg';
import { postgres } from '../../src/stores/postgres/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { modelTests, openWithKit, type ModelStores } from './model-runs.ts';
import { newDatabase, storeOptions } from './postgres-views.ts';

const BEGIN_MS = 1_767_225_600_000;
const CLOCK = `
  CREATE SCHEMA fake;
  CREATE TABLE fake.time (ms double precision NOT NULL);
  INSERT INTO fake.time VALUES (${BEGIN_MS});
  CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT to_timestamp(ms / 1000) FROM fake.time';`;

describeWithServer('postgres', 'the PostgreSQL store answers as a plain model does', (server) => {
  async function connect(): Promise<ModelStores> {
    const database = await newDatabase(server().url);
    const clock = new pg.Client(database);
    await clock.connect();
    await clock.query(CLOCK);
    const faked = `${database}?options=${encodeURIComponent('-c search_path=fake,pg_catalog')}`;
    const stores = [postgres(faked), postgres(faked)];
    // Connections stay open from run to run.
    const held = await Promise.all(stores.map(async (store) => store.open(storeOptions())));
    let ms = BEGIN_MS;
    const pass = async (more: number): Promise<void> => {
      ms += more;
      await clock.query('UPDATE fake.time SET ms = $1', [ms]);
    };
    return {
      open: openWithKit(stores, { pass }),
      now: () => ms,
      pass,
      async close() {
        for (const view of held) await view.close();
        await clock.end();
      },
    };
  }

  modelTests(60, connect);
});
