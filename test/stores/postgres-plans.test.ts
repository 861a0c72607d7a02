/** Statements read only the rows that they need, even before the server has statistics about its tables. */
import { expect, test } from 'vitest';
import type { View } from '../store-contract/view.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect, FENCE, ME, newDatabase, openView, recordOf } from './postgres-views.ts';

const SESSIONS = 2_000;
const EACH = 100;
/** The limit of rows and index entries read from all tables: a few per operation and per created session. */
const LOOKED_AT = EACH * 40 + SESSIONS * 5;

const operations: Readonly<Record<string, (view: View, id: string, n: number) => unknown>> = {
  read: ({ records }, id) => records.read(id),
  save: ({ records }, id) => records.save(id, FENCE, { stamp: 1, fields: { a: '1' } }),
  append: ({ records }, id) => records.append({ id, fence: FENCE, stream: 'p', from: 0, events: [''] }),
  complete: ({ records }, id) =>
    records.append({ id, fence: FENCE, stream: 'p', from: 1, events: ['1'], complete: true }),
  mark: ({ records }, id) => records.append({ id, fence: FENCE, stream: null, mark: { name: '1', stream: 'q' } }),
  unmark: ({ records }, id) => records.append({ id, fence: FENCE, stream: null, unmark: { name: '1', stream: 'q' } }),
  replay: ({ records }, id) => records.replay(id, 'p', -1),
  claim: ({ records }, id) => records.claim(id, FENCE, ME),
  release: ({ records }, id) => records.save(id, { ...FENCE, epoch: 2 }, { release: true }),
  end: ({ records }, id) => records.end(id, { epoch: 2, owner: null }, 'deleted'),
};

/** Rows and index entries of all tables that were looked at since the database was made. */
async function lookedAt(url: string): Promise<number> {
  const client = await connect(url);
  const own = `SELECT FROM pg_stat_activity WHERE application_name = 'sojourn' AND datname = current_database()`;
  // Counted for good when a connection has ended.
  await until(async () => (await client.query(own)).rows.length === 0);
  // Before 15 a process of the server collects the counts, and its answer is up to half a second old.
  const { rows: version } = await client.query(`SELECT current_setting('server_version_num')::int AS n`);
  if (Number(version[0].n) < 150_000) await client.query('SELECT pg_sleep(1)');
  const { rows } = await client.query(`SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)
    + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes) AS n`);
  return Number(rows[0].n);
}

/** What is asked of one group. */
const ofGroups: Readonly<Record<string, (view: View) => unknown>> = {
  count: ({ records }) => records.count('g'),
  'a listing': ({ records }) => records.list(100, undefined, 'g'),
};

/** What is asked of a whole deployment, again and again; here all of it is young. */
const sweeps: Readonly<Record<string, (view: View) => unknown>> = {
  due: ({ records }) => records.due(100),
  trim: ({ records }) => records.trim(),
};

describeWithServer(
  'postgres',
  'in tables without statistics',
  (server) => {
    test.each(Object.entries(operations))('%s reads only the rows that it needs', async (_, run) => {
      const url = await newDatabase(server().url);
      const view = await openView(url);
      // Statements are prepared while the tables are almost empty: then every index looks equally good.
      for (const before of Object.values(operations)) await before(view, 'first', 0);
      await view.records.create(recordOf('first'));
      for (const before of Object.values(operations)) await before(view, 'first', 0);
      const ids = Array.from({ length: SESSIONS }, (__, n) => `s${n}`);
      for (let n = 0; n < SESSIONS; n += EACH)
        await Promise.all(ids.slice(n, n + EACH).map(async (id) => view.records.create(recordOf(id))));
      for (let n = 0; n < EACH; n += 10)
        await Promise.all(ids.slice(n, n + 10).map(async (id, i) => run(view, id, n + i)));
      await view.close();
      const looked = await lookedAt(url);
      expect(looked).toBeLessThan(LOOKED_AT);
      expect(looked).toBeGreaterThan(EACH);
    });

    test.each(Object.entries(ofGroups))('%s of a group reads only its rows', async (_, run) => {
      const url = await newDatabase(server().url);
      const view = await openView(url, { grouped: true });
      for (let n = 0; n < 10; n++) await run(view);
      const ids = Array.from({ length: SESSIONS }, (__, n) => (n % 400 === 0 ? `g.${n}` : `g-${n % 9}.${n}`));
      for (let n = 0; n < SESSIONS; n += EACH)
        await Promise.all(ids.slice(n, n + EACH).map(async (id) => view.records.create(recordOf(id))));
      await view.close();
      const before = await lookedAt(url);
      const reader = await openView(url, { grouped: true });
      for (let n = 0; n < EACH; n++) await run(reader);
      await reader.close();
      const looked = (await lookedAt(url)) - before;
      expect(looked).toBeGreaterThan(EACH);
      expect(looked).toBeLessThan(EACH * 60);
    });

    test.each(Object.entries(sweeps))('%s reads only the rows that are due', async (_, run) => {
      const url = await newDatabase(server().url);
      const view = await openView(url);
      for (let n = 0; n < 10; n++) await run(view);
      const inAnHour = 3_600_000;
      const ids = Array.from({ length: SESSIONS }, (__, n) => `s${n}`);
      for (let n = 0; n < SESSIONS; n += EACH) {
        await Promise.all(
          ids.slice(n, n + EACH).map(async (id) => {
            await view.records.create(recordOf(id), inAnHour);
            await view.records.append({
              id: id,
              fence: FENCE,
              stream: 'p',
              from: 0,
              events: ['1'],
              complete: true,
            });
            if (n % 2 === 0) await view.records.end(id, FENCE, 'deleted');
          }),
        );
      }
      await view.close();
      const before = await lookedAt(url);
      const sweeper = await openView(url);
      for (let n = 0; n < EACH; n++) await run(sweeper);
      await sweeper.close();
      expect((await lookedAt(url)) - before).toBeLessThan(EACH * 40);
    });
  },
  { args: ['-c', 'autovacuum=off'] },
);
