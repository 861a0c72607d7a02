/**
 * Races between two connections. One of them pauses in the middle of a transaction, and a statement of the store waits
 * for it. (Race 16 of the ownership protocol, and similar ones.)
 */
import type pg from 'pg';
import { expect, test } from 'vitest';
import type { View } from './contract/view.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect, FENCE, newDatabase, openView, recordOf } from './postgres-views.ts';

const LATE = { id: 's', fence: FENCE, stream: 'p', from: 0, events: ['', '{"late":1}'] };
const MARK = { name: '1', stream: 'p' };
const WAITING = `wait_event_type = 'Lock' AND datname = current_database()`;
/** What another process stores in the row of an id. The members of `data`: `kernel/row-texts.ts`. */
const put = (id: string, set: string): string =>
  `UPDATE sojourn.rows SET version = version + 1, ${set} WHERE id = '${id}'`;
const CLAIM = put(
  's',
  `fence = '2 next', data = jsonb_set(jsonb_set(data::jsonb, '{1}', '2'), '{2}', '"next"')::text`,
);
/** An append that another connection stores: it has locked the row. */
const storing = (head: string): [string, string] => [
  `SELECT FROM sojourn.rows WHERE id = 's' FOR NO KEY UPDATE`,
  `INSERT INTO sojourn.log (space, id, no, stream, head, bytes, data)
    SELECT space, id, 1, 'p', '${head}', 0, '' FROM sojourn.rows WHERE id = 's'`,
];

describeWithServer('postgres', 'two connections to PostgreSQL', (server) => {
  /** Two instances on a new database, and a connection that pauses in a transaction. */
  async function open() {
    const url = await newDatabase(server().url);
    const [old, next] = [await openView(url), await openView(url)];
    const [pausing, watching] = [await connect(url), await connect(url)];
    return {
      old,
      next,
      async pause(...statements: string[]): Promise<void> {
        await pausing.query('BEGIN');
        for (const statement of statements) await pausing.query(statement);
      },
      goOn: async (): Promise<unknown> => pausing.query('COMMIT'),
      /** So many statements wait for the paused transaction. */
      waits: (count = 1) =>
        until(async () => (await waitCount(watching)) >= count, { what: 'statements that wait' }),
      ask: async (text: string, values: unknown[] = []): Promise<unknown[]> =>
        (await watching.query({ text, values, rowMode: 'array' })).rows.flat(),
    };
  }

  /** How many statements wait for a lock. */
  async function waitCount(client: pg.Client): Promise<number> {
    return (await client.query(`SELECT FROM pg_stat_activity WHERE ${WAITING}`)).rows.length;
  }

  const WRITES: Readonly<Record<string, (view: View) => unknown>> = {
    append: ({ records }) => records.append(LATE),
    'append with a marker': ({ records }) => records.append({ ...LATE, mark: MARK }),
    mark: ({ records }) => records.append({ id: 's', fence: FENCE, stream: null, mark: MARK }),
    save: ({ records }) => records.save('s', FENCE, { fields: { late: '1' } }),
    release: ({ records }) => records.save('s', FENCE, { release: true }),
    end: ({ records }) => records.end('s', FENCE, 'deleted'),
  };

  test('of an earlier owner: all its writes of one turn are refused', async () => {
    const { old, next, pause, goOn, waits } = await open();
    await old.records.create(recordOf('s'));
    await pause(CLAIM);
    const late = Promise.all(Object.values(WRITES).map((write) => write(old)));
    await waits();
    await goOn();
    expect(new Set(await late)).toEqual(new Set(['fenced']));
    expect(await next.records.replay('s', 'p', -1)).toEqual({ found: false, why: 'unknown' });
    const claim = await next.records.claim('s', { epoch: 2, owner: 'next' }, 'next');
    expect(claim).toMatchObject({ claimed: true, marks: [], record: { epoch: 3, fields: {} } });
  });

  test('a claim that comes while an append is being stored waits for it and gets its marker', async () => {
    const { old, next, pause, goOn, waits } = await open();
    await old.records.create(recordOf('s'));
    await pause(...storing('[0,0,0,1,{"mark":{"name":"7","stream":"p"}}]'));
    const claim = next.records.claim('s', FENCE, 'next');
    await waits();
    await goOn();
    expect(await claim).toMatchObject({ claimed: true, marks: [{ name: '7', stream: 'p' }] });
  });

  test('an end that comes while an append is being stored leaves nothing of it behind', async () => {
    const { old, next, pause, goOn, waits, ask } = await open();
    await old.records.create(recordOf('s'));
    await pause(...storing('[0,1,2,1]'));
    const end = next.records.end('s', FENCE, 'terminated');
    await waits();
    await goOn();
    expect([await end, await ask('SELECT count(*) FROM sojourn.log')]).toEqual(['ended', ['0']]);
  });

  test('batches with the same sessions in different orders do not deadlock', async () => {
    const { old, next, pause, goOn, waits, ask } = await open();
    const ids = Array.from({ length: 9 }, (_, n) => `s${n}`);
    await Promise.all(ids.map(async (id) => old.records.create(recordOf(id))));
    // By now both hold the rest of their rows, if they lock them one by one.
    await pause(`SELECT FROM sojourn.rows WHERE id = 's4' FOR UPDATE`);
    const saves = [
      ...ids.map(async (id) => old.records.save(id, FENCE, { stamp: 1 })),
      ...ids.toReversed().map(async (id) => next.records.save(id, FENCE, { stamp: 2 })),
    ];
    await waits(2);
    await goOn();
    expect(new Set(await Promise.all(saves))).toEqual(new Set(['written']));
    const counted = `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`;
    expect(await ask(counted)).toEqual(['0']);
  });
});
