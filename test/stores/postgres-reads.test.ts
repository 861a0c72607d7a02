/** Reads of one turn, which go to the server together. */
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { newDatabase, openView, recordOf } from './postgres-views.ts';

describeWithServer('postgres', 'the reads of one turn', (server) => {
  test('are two statements, of rows and of numbers, and each gets its own answer', async () => {
    const { records } = await openView(await newDatabase(server().url), { counted: true });
    for (const id of ['a', 'b', 'c'])
      await records.create({ ...recordOf(id), share: id === 'a' ? 'one' : 'two' });
    const sent = vi.spyOn(pg.Client.prototype, 'query');
    const ids = ['c', 'none', 'a', 'c'];
    const [found, counts] = await Promise.all([
      Promise.all(ids.map(async (id) => (await records.read(id))?.id)),
      Promise.all(['two', 'none', 'one'].map(async (share) => records.countOf(share))),
    ]);
    expect([found, counts, sent.mock.calls.length]).toEqual([
      ['c', undefined, 'a', 'c'],
      [2, 0, 1],
      2,
    ]);
    sent.mockRestore();
  });

  test('fail alone where the server refuses what one of them holds', async () => {
    const { records } = await openView(await newDatabase(server().url));
    await records.create(recordOf('a'));
    const [bad, good] = await Promise.allSettled(
      ['\u0000', 'a'].map(async (id) => records.read(id)),
    );
    expect([bad?.status, good]).toMatchObject([
      'rejected',
      { status: 'fulfilled', value: { id: 'a' } },
    ]);
  });
});
