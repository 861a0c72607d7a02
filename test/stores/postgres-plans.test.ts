/** Statements read only the rows that they need, even before the server has statistics about its tables. */
import { expect, test } from 'vitest';
import type { View } from '../store-contract/view.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect, FENCE, ME, newDatabase, openView, recordOf } from './postgres-views.ts';

const SESSIONS = 2_000;
const EACH = 100;
const operations: Readonly<Record<string, (view: View, id: string) => unknown>> = {
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

/** What is asked of one group, and of a whole deployment again and again; here nothing of it is due. */
const asked: Readonly<Record<string, (view: View) => unknown>> = {
  'count of a group': ({ records }) => records.count('g'),
  'a listing of a group': ({ records }) => records.list(100, undefined, 'g'),
  due: ({ records }) => records.due(100),
  trim: ({ records }) => records.trim(),
};

const IN_AN_HOUR = 3_600_000;

/** Of 400 sessions one is in the group `g`, and of two one has ended. */
async function createAll(view: View): Promise<void> {
  const ids = Array.from({ length: SESSIONS }, (_, n) => (n % 400 === 0 ? `g.${n}` : `g-${n % 9}.${n}`));
  for (let from = 0; from < SESSIONS; from += EACH)
    await Promise.all(ids.slice(from, from + EACH).map(async (id) => view.records.create(recordOf(id), IN_AN_HOUR)));
}

describeWithServer(
  'postgres',
  'in tables without statistics',
  (server) => {
    test.each(Object.entries(operations))('%s reads only the rows that it needs', async (_, run) => {
      const url = await newDatabase(server().url);
      const view = await openView(url, { grouped: true });
      // Statements are prepared while the tables are almost empty: then every index looks equally good.
      for (const before of Object.values(operations)) await before(view, 'first.0');
      await view.records.create(recordOf('first.0'));
      for (const before of Object.values(operations)) await before(view, 'first.0');
      await createAll(view);
      for (let n = 1; n <= EACH; n += 10)
        await Promise.all(Array.from({ length: 10 }, async (__, i) => run(view, `g-${(n + i) % 9}.${n + i}`)));
      await view.close();
      const looked = await lookedAt(url);
      // A few for each operation and each created session.
      expect(looked).toBeLessThan(EACH * 40 + SESSIONS * 5);
      expect(looked).toBeGreaterThan(EACH);
    });

    test.each(Object.entries(asked))('%s reads only the rows that it names', async (what, run) => {
      const url = await newDatabase(server().url);
      const view = await openView(url, { grouped: true });
      for (let n = 0; n < 10; n++) await run(view);
      await createAll(view);
      for (let from = 1; from < SESSIONS; from += EACH) {
        const odd = Array.from({ length: EACH / 2 }, (__, n) => from + 2 * n);
        await Promise.all(
          odd.map(async (n) => {
            const id = `g-${n % 9}.${n}`;
            await view.records.append({ id, fence: FENCE, stream: 'p', from: 0, events: ['1'], complete: true });
            await view.records.end(id, FENCE, 'deleted');
          }),
        );
      }
      await view.close();
      const before = await lookedAt(url);
      const reader = await openView(url, { grouped: true });
      for (let n = 0; n < EACH; n++) await run(reader);
      await reader.close();
      const looked = (await lookedAt(url)) - before;
      expect(looked).toBeLessThan(EACH * 40);
      if (what.endsWith('group')) expect(looked).toBeGreaterThan(EACH);
    });
  },
  { args: ['-c', 'autovacuum=off'] },
);
