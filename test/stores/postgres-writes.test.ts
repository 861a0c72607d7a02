import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { AWAY } from './outages.ts';
import { connect, FENCE, newDatabase, openView, recordOf } from './postgres-views.ts';
import { expectNoGap } from './refused-appends.ts';

describeWithServer('postgres', 'writes to PostgreSQL', (server) => {
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
    await expect(view.records.create(recordOf('late'))).rejects.toMatchObject(AWAY);
  });
});
