import { expect, test } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { AWAY } from './outages.ts';
import { append, keysOf, newName, openRedis, openView, recordOf } from './redis-views.ts';

describeWithServer('redis', 'writes to Redis', (server) => {
  test('the writes of one turn leave in one packet', async () => {
    const ask = await openRedis(server().url);
    const view = await openView(server().url);
    await view.records.create(recordOf('s'));
    const reads = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(String(await ask('INFO', 'stats')))?.[1]);
    const before = await reads();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, async (_, n) => append(view, `p1x${n}`, 0, ['', '{}'], { complete: true })),
    );
    expect(new Set(outcomes)).toEqual(new Set(['written']));
    // One packet of 50 writes, in the pieces that the server reads, and the query itself.
    expect((await reads()) - before).toBeLessThan(10);
  });

  test('a server that lost its scripts gets them again', async () => {
    const ask = await openRedis(server().url);
    const view = await openView(server().url);
    await view.records.create(recordOf('s'));
    await ask('SCRIPT', 'FLUSH');
    const outcomes = await Promise.all([0, 1, 2].map((from) => append(view, 'g', from, [`${from}`])));
    expect(outcomes).toEqual(['written', 'written', 'written']);
    expect(await view.records.read('s')).toEqual(recordOf('s'));
  });

  test('a key of another program is not overwritten, and the error names the cause', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { row } = keysOf(name, 's');
    await ask('SET', row, 'theirs');
    await expect(view.records.create(recordOf('s'))).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringMatching(/another prefix/) as string,
    });
    expect(await ask('GET', row)).toBe('theirs');
  });
});
