import { APPEND, PUT } from '../../packages/redis/src/row-scripts.ts';
import { expect, test } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { AWAY } from './outages.ts';
import { append, FENCE, keysOf, newName, openRedis, openView, recordOf } from './redis-views.ts';

describeWithServer('redis', 'writes to Redis', (server) => {
  test('a put that names another version, and an entry below the last one or under another fence, change nothing', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { row, log, wakes, ids } = keysOf(name, 's');
    const version = async (): Promise<string> => String(await ask('HGET', row, 'v'));
    const put = (was: string): Promise<unknown> =>
      ask('EVAL', PUT.lua, '4', row, log, wakes, ids, 's', was, '', '7', '9 other', '', '[]', '0', '1');
    const appendLate = (fence: string, entry: string): Promise<unknown> =>
      ask('EVAL', APPEND.lua, '2', row, log, fence, '0', entry);
    await view.records.create(recordOf('s', { fields: { a: '1' } }));
    const early = await version();
    await view.records.save('s', FENCE, { head: 'info' });
    expect(await version()).not.toBe(early);
    // A late save, and a creation that arrives once more.
    expect([await put(early), await put('0')]).toEqual([0, 0]);
    await append(view, 'p', 0, ['1']);
    const fence = `${FENCE.epoch} ${FENCE.owner}`;
    expect(await appendLate(fence, '1,"p",[0,1,1,0]\nx')).toBe(0);
    expect(await appendLate('2 other', '2,"p",[1,1,1,0]\nx')).toBe(0);
    expect(await view.records.read('s')).toEqual(recordOf('s', { fields: { a: '1' }, head: 'info' }));
    expect(await view.records.replay('s', 'p', -1)).toMatchObject({ found: true, next: 1 });
    await view.records.end('s', FENCE, 'deleted');
    expect([await put(early), await appendLate(fence, '9,"p",[1,1,1,0]\nx')]).toEqual([0, 0]);
    expect(await view.records.read('s')).toMatchObject({ outcome: 'deleted' });
  });

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
