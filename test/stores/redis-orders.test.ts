/** The orders of the rows in Redis: by id, and by wake time, each in 16 sorted sets. */
import { expect, test } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { FENCE, keysOf, newName, openRedis, openView, recordOf } from './redis-views.ts';

describeWithServer('redis', 'the orders of the rows', (server) => {
  test('name each of 100 sessions with one wake time once, page by page, and none whose time has changed', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const ids = Array.from({ length: 100 }, (_, n) => `s${n}`);
    for (const id of ids) {
      await view.records.create(recordOf(id), -1_000);
      const { row, wakes } = keysOf(name, id);
      await ask('HSET', row, 'w', '7.25');
      await ask('ZADD', wakes, '7.25', id);
    }
    // As if it had been renewed after its place was read.
    await ask('ZADD', keysOf(name, 's50').wakes, '3', 's50');
    for (const size of [1, 3, 16, 100]) {
      const named: string[] = [];
      for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
        const page = await view.records.due(size, cursor);
        named.push(...page.records.map(({ id }) => id));
        cursor = page.nextCursor;
      }
      expect(named, String(size)).toEqual(ids.filter((id) => id !== 's50').toSorted());
    }
  });

  test('leave out an ended session at once, and name it until it is forgotten', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name, log: false });
    await view.records.create(recordOf('s'));
    const { ids, wakes } = keysOf(name, 's');
    expect([await ask('ZSCORE', ids, 's'), await ask('ZSCORE', wakes, 's')]).toEqual(['0', null]);
    await view.records.end('s', FENCE, 'deleted', 60_000);
    expect(await ask('ZSCORE', ids, 's')).toBeNull();
    expect(Number(await ask('ZSCORE', wakes, 's'))).toBeGreaterThan(Date.now() + 50_000);
  });
});
