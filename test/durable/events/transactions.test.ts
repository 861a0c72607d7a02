/** Events in a transaction of the application, and from SQL: the row that the kernel would store, or none. */
import { join } from 'node:path';
import Database from 'libsql';
import { expect, test } from 'vitest';
import { migrationSql, postgres } from '../../../packages/postgres/src/index.ts';
import type { Store } from '../../../src/stores/store.ts';
import { WAITS_MS } from '../../../src/durable/events/event-store.ts';
import { RECORD_VERSION, UNOWNED } from '../../../src/stores/store.ts';
import { textsOf } from '../../../src/stores/kernel/row-texts.ts';
import { livingRow } from '../../../src/stores/kernel/row-value.ts';
import { sqlite } from '../../../src/stores/sqlite/index.ts';
import { ask, eventsOf, openCallbacks, subscription, userKeyOf } from '../../kit/callback.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { userHeader } from '../../kit/serve.ts';
import { describeWithServer } from '../../kit/servers/index.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { until } from '../../kit/until.ts';
import { connect, newDatabase } from '../../stores/postgres-views.ts';

const NODE = { face: 'node', auth: userHeader } as const;

async function subscribed(store: Store) {
  const [member] = await serveFleet(1, { store, deployment: 'd1', ...eventsOf({ note: {} }) }, [
    NODE,
  ]);
  const path = (await openCallbacks()).path('p');
  await ask(member.client(), 'subscribe', subscription(path.url), 'ann');
  const heard = (...texts: string[]) =>
    until(() => texts.every((text) => path.events.some((event) => event.text === text)));
  return { member, path, heard };
}

interface StoredRow {
  readonly id: string;
  readonly fence: string;
  readonly wake: number;
  readonly data: string;
  readonly body: string;
}

/** The texts of the row that `create` stores for such an event. */
function byKernel({ id, data }: StoredRow, user: string | null, body: string) {
  const [, , , , , , createdAt, , expiresAt] = JSON.parse(data) as number[];
  const times = { createdAt: Number(createdAt), expiresAt: Number(expiresAt) };
  const plain = { v: RECORD_VERSION, id, ...UNOWNED, user, share: null, head: '', fields: {} };
  const row = livingRow({ ...plain, ...times, body, stamp: 0, dueAt: null, rung: 0 }, null);
  return { id, fence: row.fence, wake: row.wakeAt, ...textsOf(row) };
}

test('B269 an event in a transaction of SQLite is stored with it or not at all, as the kernel stores it', async () => {
  const file = join(temporaryFolder(), 'events.db');
  const { member, path, heard } = await subscribed(sqlite(file));
  const own = new Database(file);
  own.exec('CREATE TABLE notes (text TEXT)');
  for (const [text, end] of [
    ['rolled back', 'ROLLBACK'],
    ['committed', 'COMMIT'],
  ] as const) {
    own.exec('BEGIN IMMEDIATE');
    own.prepare('INSERT INTO notes VALUES (?)').run(text);
    const timestamp = new Date(0);
    await member.endpoint.emit('note', { text }, { tx: own, eventId: text, timestamp });
    const row = own
      .prepare(
        "SELECT id, fence, wake, data, body FROM rows WHERE body LIKE '%\"note\"%' AND id LIKE '1.%'",
      )
      .get() as StoredRow;
    const { id, fence, wake, data, body } = row;
    const event = { n: 'note', d: { text }, i: text, t: timestamp.toISOString() };
    expect({ id, fence, wake, data, body }).toEqual(byKernel(row, null, JSON.stringify(event)));
    own.exec(end);
  }
  await heard('committed');
  await member.endpoint.emit('note', { text: 'last' });
  await heard('last');
  expect(path.events.map(({ text }) => text)).toEqual(['committed', 'last']);
  own.close();
});

describeWithServer('postgres', 'on PostgreSQL', (server) => {
  test('B269 emit with a transaction, and sojourn.emit() from SQL, are stored with it or not at all', async () => {
    const url = await newDatabase(server().url);
    const { member, path, heard } = await subscribed(postgres(url));
    const client = await connect(url);
    for (const end of ['ROLLBACK', 'COMMIT']) {
      await client.query('BEGIN');
      await member.endpoint.emit('note', { text: `emit ${end}` }, { tx: client });
      const data = JSON.stringify({ text: `sql ${end}` });
      await client.query("SELECT sojourn.emit('note', $1, deployment => 'd1')", [data]);
      await client.query(end);
    }
    await heard('emit COMMIT', 'sql COMMIT');
    await member.endpoint.emit('note', { text: 'last' });
    await heard('last');
    expect(path.events.map(({ text }) => text)).not.toContain('emit ROLLBACK');
    expect(path.events).toHaveLength(3);
  });

  test('sojourn.emit() stores the row that the kernel stores, and a role that may emit writes nothing else', async () => {
    const url = await newDatabase(server().url);
    await subscribed(postgres(url));
    const client = await connect(url);
    const role = `app_${Date.now()}`;
    await client.query(`CREATE ROLE ${role}`);
    await client.query(migrationSql('sojourn', { emits: role }));
    const user = userKeyOf('ann');
    const emitted =
      "SELECT sojourn.emit('note', '{\"text\":\"é \\\" 1\"}', 'id 1', $1, '2026-01-01T00:00:00.000Z', 'd1')";
    await client.query('BEGIN');
    await client.query(`SET LOCAL ROLE ${role}`);
    expect((await client.query(emitted, [user])).rows).toEqual([{ emit: 'id 1' }]);
    await client.query('RESET ROLE');
    const { rows } = await client.query(
      "SELECT id, fence, wake, data, body FROM sojourn.rows WHERE body LIKE '%id 1%'",
    );
    const [row] = rows as unknown as [StoredRow];
    const event = { n: 'note', d: { text: 'é " 1' }, i: 'id 1', t: '2026-01-01T00:00:00.000Z' };
    expect(row).toEqual(byKernel(row, user, JSON.stringify(event)));
    const [, , , , , , createdAt, , expiresAt] = JSON.parse(row.data) as number[];
    expect(Number(expiresAt) - Number(createdAt)).toBe(WAITS_MS);
    await client.query(`SET LOCAL ROLE ${role}`);
    await expect(client.query('DELETE FROM sojourn.rows')).rejects.toThrow(/permission denied/);
    await client.query('ROLLBACK');
    const anyone = `nobody_${Date.now()}`;
    await client.query(`CREATE ROLE ${anyone}; GRANT USAGE ON SCHEMA sojourn TO ${anyone}`);
    await client.query(`SET ROLE ${anyone}`);
    await expect(client.query(emitted, [user])).rejects.toThrow(/permission denied for function/);
    await client.query('RESET ROLE');
  });
});
