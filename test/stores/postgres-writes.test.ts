import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { answerLimitMs } from '../../src/stores/shared/answer-limit.ts';
import type { StoredRecord, SaveOutcome } from '../../src/stores/store.ts';
import type { View } from '../store-contract/view.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { createSkippingTime } from '../kit/skipping-time.ts';
import { until } from '../kit/until.ts';
import { turns } from './outages.ts';
import { connect, FENCE, newDatabase, openView, recordOf } from './postgres-views.ts';
import { expectNoGap } from './refused-appends.ts';

const LEASE_MS = 30_000;
const AWAY = { code: 'STORE_AWAY' };

const WAITING = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;

const stateOf = async (view: View): Promise<unknown> => ((await view.records.read('s')) as StoredRecord).fields;

describeWithServer('postgres', 'writes to PostgreSQL', (server) => {
  /** A view whose clock can be moved. `givenUp`: nothing has answered within the limit. */
  async function hurriedView(url: string) {
    const time = createSkippingTime();
    const view = await openView(url, { time, leaseMs: LEASE_MS });
    const givenUp = async (...asked: readonly unknown[]): Promise<void> => {
      const failed = asked.map((one) => expect(one).rejects.toMatchObject(AWAY));
      await turns();
      time.skip(answerLimitMs(LEASE_MS));
      await Promise.all(failed);
    };
    return { view, givenUp };
  }

  const save = (view: View, a: string): Promise<SaveOutcome> =>
    Promise.resolve(view.records.save('s', FENCE, { fields: { a } }));

  test('a write that was given up does not take effect after a later one, although its server runs late', async () => {
    const url = await newDatabase(server().url);
    const { view, givenUp } = await hurriedView(url);
    const client = await connect(url);
    await view.records.create(recordOf('s'));
    await save(view, '1');
    const { rows } = await client.query(
      `SELECT pid FROM pg_stat_activity WHERE query LIKE '%put_rows%' AND datname = current_database() AND pid <> pg_backend_pid()`,
    );
    const pid = rows[0].pid as number;
    process.kill(pid, 'SIGSTOP');
    try {
      await givenUp(save(view, '2'));
      await until(async () => (await save(view, '3')) === 'written');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until(async () => (await client.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).rowCount === 0);
    expect(await stateOf(view)).toEqual({ a: '3' });
  });

  test('a write that was given up on a silent network does not take effect after a later one', async () => {
    const url = await newDatabase(server().url);
    const proxy = await createFaultProxy({ port: server().port });
    const { view, givenUp } = await hurriedView(url.replace(String(server().port), String(proxy.port)));
    await view.records.create(recordOf('s'));
    try {
      for (let n = 0; n < 3; n++) {
        await save(view, `${n}`);
        proxy.blackHole(true);
        await givenUp(save(view, `${n} late`));
        proxy.blackHole(false);
        await until(async () => (await save(view, `${n} again`)) === 'written');
        expect(await stateOf(view)).toEqual({ a: `${n} again` });
      }
    } finally {
      await proxy.close();
    }
  });

  test('the server drops a running write without a caller, and an unsent one is never sent', async () => {
    const url = await newDatabase(server().url);
    const { view, givenUp } = await hurriedView(url);
    const client = await connect(url);
    await view.records.create(recordOf('s'));
    await client.query('BEGIN');
    await client.query(`SELECT FROM sojourn.rows FOR UPDATE`);
    const first = save(view, 'first');
    await until(async () => (await client.query(WAITING)).rows.length > 0);
    await givenUp(first, view.records.save('s', FENCE, { fields: { b: 'second' } }));
    // Another connection holds the row. A later write is stored, so the earlier one has taken effect or never will.
    await until(() => view.records.create(recordOf('t')));
    await client.query('COMMIT');
    expect(await save(view, 'third')).toBe('written');
    expect(await stateOf(view)).toEqual({ a: 'third' });
  });

  test('a write that the server refuses fails alone, without the other writes of its batch', async () => {
    const view = await openView(await newDatabase(server().url));
    for (const id of ['s', 't']) await view.records.create(recordOf(id));
    const append = (id: string, stream: string, from: number) =>
      view.records.append({ id, fence: FENCE, stream, from, events: [`"${from}"`] });
    const settled = await Promise.allSettled([
      append('s', 'p', 0),
      append('s', 'p', 1),
      // More than an entry of an index may have.
      view.records.create(recordOf(randomBytes(3_000).toString('base64url'))),
      append('s', 'p', 2),
      view.records.save('t', FENCE, { fields: { a: '1' } }),
    ]);
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    expect(settled[2]).toMatchObject({ reason: { code: 'INTERNAL' } });
    const replay = await view.records.replay('s', 'p', -1);
    expect(replay).toMatchObject({ found: true, next: 3 });
    expect(await view.records.read('t')).toMatchObject({ fields: { a: '1' } });
  });

  test('appends behind one that the server refused are fenced, so a stream has no gap', async () => {
    const url = await newDatabase(server().url);
    const view = await openView(url);
    const client = await connect(url);
    await client.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE program_limit_exceeded; END $$;
      CREATE TRIGGER refuses BEFORE INSERT ON sojourn.log FOR EACH ROW WHEN (new.data = '"no"')
      EXECUTE FUNCTION refuse()`);
    await expectNoGap(view);
  });

  test('a closed view refuses writes', async () => {
    const view = await openView(await newDatabase(server().url));
    await view.close();
    await expect(save(view, 'too late')).rejects.toMatchObject(AWAY);
  });
});
