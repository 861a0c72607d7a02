import { describe, expect, test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { instanceTests, startInstance, startOpening } from './instances.ts';
import { announce, connect, newDatabase, openView } from './postgres-views.ts';

/** Where the messages of the instance `me` go, and how a sender puts one there. */
const RECEIVER = `SELECT split_part(fence, ' ', 2) AS mailbox, split_part(fence, ' ', 3) AS key
  FROM sojourn.rows WHERE id = 'me'`;
const PUT = `INSERT INTO sojourn.messages (mailbox, ord, body) VALUES ($1, $2, $3) RETURNING no`;

describeWithServer('postgres', 'instances on PostgreSQL', (server) => {
  describe('in separate processes', () => {
    instanceTests(async () => {
      const target = await newDatabase(server().url);
      return { target, name: 'mcp' };
    });

    test('a user without rights on the schema locks nobody out, and keeps no dead instance alive', async () => {
      const target = await newDatabase(server().url);
      const view = await openView(target);
      await announce(view, 'me');
      const instance = await startInstance({ target, name: 'mcp' }, 'a');
      const admin = await connect(target);
      await admin.query(`CREATE ROLE stranger LOGIN PASSWORD 'x'`).catch(() => undefined);
      const strange = new URL(target);
      [strange.username, strange.password] = ['stranger', 'x'];
      const stranger = await connect(strange.href);
      const keyOf = async (id: string): Promise<string> =>
        (
          await admin.query(
            `SELECT split_part(fence, ' ', 3) AS key FROM sojourn.rows WHERE id = $1`,
            [id],
          )
        ).rows[0].key;
      const [mine, other] = [await keyOf('me'), await keyOf('a')];
      const probe = (id: string) => view.instances.send('me', id, { kind: 'probe' });

      // The stranger has what the dead instance had: its lock, and the name of its connection.
      await stranger.query(
        `SELECT pg_advisory_lock_shared(${other}), set_config('application_name', $1, false)`,
        [`sojourn_${other}`],
      );
      expect(await probe('a')).toBe('sent');
      await instance.kill();
      await until(async () => (await probe('a')) === 'suspect', { timeoutMs: 10_000 });

      // The connection of a living one is lost, and the stranger has its lock first.
      await stranger.query(`SELECT pg_notify('sojourn_${mine}', 'no number')`);
      const taken = stranger.query(`SELECT pg_advisory_lock(${mine})`);
      await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`,
        [`sojourn_${mine}`],
      );
      await taken;
      await until(async () => view.instances.renew('me', 'serving').catch(() => false), {
        timeoutMs: 10_000,
      });
      expect(await probe('me')).toBe('sent');
      await stranger.query(`SELECT pg_advisory_unlock(${mine})`);
      for (const kind of ['probe', 'other'])
        expect(await view.instances.send('me', 'me', { kind })).toBe('sent');
    });

    test('exit by themselves when their views are closed or idle', async () => {
      const url = await newDatabase(server().url);
      for (const end of ['close', 'leave']) {
        const { closed, output } = startOpening([url, end]);
        expect(await closed, end).toEqual([0, null]);
        expect(output.stdout).toBe('opened\n');
      }
    });
  });

  test('of one process and one store object use few connections', async () => {
    const url = await newDatabase(server().url);
    const store = postgres(url);
    for (const id of ['one', 'other']) await announce(await openView(store), id);
    const client = await connect(url);
    const { rows } = await client.query(`SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE application_name = 'sojourn' AND datname = current_database()`);
    // As the page of the store says.
    expect(rows[0].n).toBeLessThanOrEqual(4);
  });

  test('messages leave nothing behind, read or sent to dead instances', async () => {
    const url = await newDatabase(server().url);
    const [view, other] = [await openView(url), await openView(url)];
    const { messages: heard } = await announce(other, 'other');
    for (let n = 0; n < 100; n++) await view.instances.send('me', 'other', { kind: 'n', n });
    await until(() => heard.length === 100);
    const client = await connect(url);
    const left = async (): Promise<number> =>
      (await client.query('SELECT count(*)::int AS n FROM sojourn.messages')).rows[0].n as number;
    await until(async () => (await left()) === 0);
    const { rows } = await client.query(
      `SELECT split_part(fence, ' ', 2) AS mailbox FROM sojourn.rows WHERE id = 'other'`,
    );
    await client.query(
      `INSERT INTO sojourn.messages (mailbox, ord, body, sent)
        SELECT mailbox, 1, '{}', now() - interval '2 hours' FROM unnest($1::bigint[]) AS mailbox`,
      [[rows[0].mailbox, 1]],
    );
    await other.instances.leave('other');
    // The next instance removes what was sent to the dead.
    await announce(view, 'next');
    await until(async () => (await left()) === 0);
  });

  test('a slow sender keeps its order, though others are read while it sends and before it is announced', async () => {
    const url = await newDatabase(server().url);
    const view = await openView(url);
    const { messages: heard } = await announce(view, 'me');
    const slow = await connect(url);
    const [receiver] = (await slow.query(RECEIVER)).rows;
    const put = async (ord: number, body: string): Promise<string> =>
      (await slow.query(PUT, [receiver.mailbox, ord, body])).rows[0].no;
    const hear = async (n: number): Promise<void> => {
      await view.instances.send('me', 'me', { kind: 'other' });
      await until(() => heard.length >= n);
    };
    await slow.query('BEGIN');
    const together = await put(2, '["x",{"kind":"second"}]');
    for (let n = 1; n <= 5; n++) await hear(n);
    await put(1, '["x",{"kind":"first"}]');
    await slow.query('COMMIT');
    const alone = await put(1, 'what another program has put');
    const tell = (no: string) =>
      slow.query('SELECT pg_notify($1, $2)', [`sojourn_${receiver.key}`, no]);
    // A number between those of the slow sender.
    await tell(String(Number(together) + 1));
    await hear(6);
    for (const no of [together, alone]) await tell(no);
    await until(() => heard.length === 9);
    const own = heard.filter((message) => message?.kind !== 'other');
    expect(own).toEqual([{ kind: 'first' }, { kind: 'second' }, undefined]);
  });

  test('a transaction that stays open does not make each read scan earlier messages', async () => {
    const [url, many] = [await newDatabase(server().url), 200];
    const [reading, writing] = [await connect(url), await connect(url)];
    const view = await openView(url);
    const { messages: heard } = await announce(view, 'me');
    await reading.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await reading.query('SELECT count(*) FROM sojourn.messages');
    await writing.query('BEGIN');
    await writing.query('SELECT pg_current_xact_id()');
    for (let n = 1; n <= many; n++) {
      await view.instances.send('me', 'me', { kind: 'n', n });
      await until(() => heard.length === n);
    }
    await view.close();
    const { rows } =
      await writing.query(`SELECT sum(idx_tup_read)::int AS read FROM pg_stat_user_indexes
      WHERE relname = 'messages'`);
    expect(rows[0].read).toBeGreaterThan(0);
    expect(rows[0].read).toBeLessThan(many * 5);
  });
});
