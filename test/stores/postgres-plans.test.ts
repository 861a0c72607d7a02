/** Statements read only the rows that they need, even before the server has statistics about its tables. */
import { expect, test } from 'vitest';
import type { View } from './contract/view.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect, FENCE, ME, newDatabase, openView, recordOf } from './postgres-views.ts';

const SESSIONS = 2_000;
const EACH = 100;

/** The life of a session. */
const ofOne: ReadonlyArray<(view: View, id: string) => unknown> = [
  ({ records }, id) => records.read(id),
  ({ records }, id) => records.save(id, FENCE, { stamp: 1, fields: { a: '1' } }),
  ({ records }, id) => records.append({ id, fence: FENCE, stream: 'p', from: 0, events: [''] }),
  ({ records }, id) =>
    records.append({ id, fence: FENCE, stream: 'p', from: 1, events: ['1'], complete: true }),
  ({ records }, id) =>
    records.append({ id, fence: FENCE, stream: null, mark: { name: '1', stream: 'q' } }),
  ({ records }, id) =>
    records.append({ id, fence: FENCE, stream: null, unmark: { name: '1', stream: 'q' } }),
  ({ records }, id) => records.replay(id, 'p', -1),
  ({ records }, id) => records.claim(id, FENCE, ME),
  ({ records }, id) => records.save(id, { ...FENCE, epoch: 2 }, { release: true }),
  ({ records }, id) => records.end(id, { epoch: 2, owner: null }, 'deleted'),
];

/** What is asked of one group, and of a whole deployment again and again; here nothing of it is due. */
const ofMany: ReadonlyArray<(view: View) => unknown> = [
  ({ records }) => records.count('g'),
  ({ records }) => records.list(100, undefined, 'g'),
  ({ records }) => records.due(100),
  ({ records }) => Promise.all([records.read('first.0'), records.read('g.0'), records.read('no')]),
  ({ records }) => Promise.all([records.countOf('none'), records.countOf('other')]),
  ({ records }) => records.trim(),
];

/** Rows and index entries of all tables that were looked at since the database was made. */
async function lookedAt(url: string): Promise<number> {
  const client = await connect(url);
  const own = `SELECT FROM pg_stat_activity WHERE application_name = 'sojourn' AND datname = current_database()`;
  // Counted for good when a connection has ended.
  await until(async () => (await client.query(own)).rows.length === 0);
  // Before 15 a process of the server collects the counts, and its answer is up to half a second old.
  const { rows: version } = await client.query(
    `SELECT current_setting('server_version_num')::int AS n`,
  );
  if (Number(version[0].n) < 150_000) await client.query('SELECT pg_sleep(1)');
  const { rows } = await client.query(`SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)
    + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes) AS n`);
  return Number(rows[0].n);
}

const IN_AN_HOUR = 3_600_000;
const idOf = (n: number): string => (n % 400 === 0 ? `g.${n}` : `g-${n % 9}.${n}`);

/** In steps, for all of these sessions. */
async function forAll(numbers: readonly number[], run: (id: string) => unknown): Promise<void> {
  for (let from = 0; from < numbers.length; from += EACH)
    await Promise.all(numbers.slice(from, from + EACH).map(async (n) => run(idOf(n))));
}

describeWithServer(
  'postgres',
  'in tables without statistics',
  (server) => {
    test('each statement reads only the rows that it needs', async () => {
      const url = await newDatabase(server().url);
      const view = await openView(url, { grouped: true, counted: true });
      // Statements are prepared while the tables are almost empty: then every index looks equally good.
      for (const id of ['none', 'first.0']) {
        for (const run of ofOne) await run(view, id);
        for (const run of ofMany) await run(view);
        await view.records.create(recordOf('first.0'));
      }
      // Of 400 sessions one is in the group `g`, and of two one ends.
      const all = Array.from({ length: SESSIONS }, (_, n) => n);
      await forAll(all, (id) => view.records.create(recordOf(id), IN_AN_HOUR));
      const odd = all.filter((n) => n % 2 === 1);
      for (const run of ofOne) await forAll(odd, (id) => run(view, id));
      await view.close();
      const looked = await lookedAt(url);
      // About 4 for each operation, and one for each created session. A scan of the table would look at 2,000.
      expect(looked).toBeLessThan(odd.length * ofOne.length * 10);
      expect(looked).toBeGreaterThan(odd.length);
      const reader = await openView(url, { grouped: true, counted: true });
      for (let n = 0; n < EACH; n++) for (const run of ofMany) await run(reader);
      await reader.close();
      const asked = (await lookedAt(url)) - looked;
      // The five rows of the group, for its count and its listing.
      expect(asked).toBeLessThan(EACH * ofMany.length * 10);
      expect(asked).toBeGreaterThan(EACH);
    });
  },
  { args: ['-c', 'autovacuum=off'] },
);
