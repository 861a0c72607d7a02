import { describe, expect, test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { instanceTests, startOpening } from './instances.ts';
import { announce, connect, newDatabase, openView } from './postgres-views.ts';

describeWithServer('postgres', 'instances on PostgreSQL', (server) => {
  describe('in separate processes', () => {
    instanceTests(async () => {
      const target = await newDatabase(server().url);
      return { target, name: 'mcp' };
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

  test('messages larger than a notification, and several alike, arrive whole and in the order of their sender', async () => {
    const url = await newDatabase(server().url);
    const [view, other] = [await openView(url), await openView(url)];
    const { messages: heard } = await announce(other, 'other');
    // Two, three and four bytes, at every place in which a piece can end.
    const texts = ['', '.+', 'é', '€', '🧪'].flatMap((text) =>
      ['', 'a', 'ab', 'abc'].map((end) => text.repeat(5_000) + end),
    );
    const sent = [...texts, '', ''].map((text) => ({ kind: 'n', text }));
    const outcomes = await Promise.all(sent.map(async (message) => view.instances.send('me', 'other', message)));
    expect(new Set(outcomes)).toEqual(new Set(['sent']));
    await until(() => heard.length >= sent.length);
    expect(heard).toEqual(sent);
  });

  test('what is no message is left to the receiver to refuse, and what begins one goes with its connection', async () => {
    const url = await newDatabase(server().url);
    const view = await openView(url);
    const inbox = await announce(view, 'me');
    const client = await connect(url);
    const { rows } = await client.query(
      `SELECT split_part(fence, ' ', 2) AS channel FROM sojourn.rows WHERE id = 'me'`,
    );
    for (const text of ['nonsense', '.7', '.["x",7]', '+["x",'])
      await client.query('SELECT pg_notify($1, $2)', [rows[0].channel, text]);
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    await until(() => inbox.lost > 0);
    await until(async () => view.instances.renew('me', 'serving'));
    expect(await view.instances.send('me', 'me', { kind: 'call' })).toBe('sent');
    await until(() => inbox.messages.length === 4);
    expect(inbox.messages).toEqual([undefined, undefined, 7, { kind: 'call' }]);
  });
});
