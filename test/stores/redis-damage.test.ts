/** Remains and losses of sessions and instances in Redis: keys deleted by hand, evicted or of others, crashes, clocks. */
import { expect, test } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { AWAY } from './outages.ts';
import {
  append,
  FENCE,
  keysOf,
  ME,
  newName,
  openRedis,
  openView,
  recordOf,
} from './redis-views.ts';

describeWithServer('redis', 'in the Redis store', (server) => {
  test('a session whose row was evicted is missing, and what finds it removes its log and its places', async () => {
    const ask = await openRedis(server().url);
    for (const find of ['list', 'due'] as const) {
      const name = newName();
      const view = await openView(server().url, { deployment: name });
      for (const id of ['s', 'other']) await view.records.create(recordOf(id), -1);
      await view.records.create(recordOf('lives'));
      const { row, log, ids, wakes } = keysOf(name, 's');
      await ask('RPUSH', log, '1,"p",[0,1,1,0]\n1');
      await ask('DEL', row);
      expect(await view.records.read('s')).toBeUndefined();
      expect(await view.records.claim('s', FENCE, ME)).toEqual({
        claimed: false,
        current: undefined,
      });
      expect(await view.records.count()).toBe(3);
      const { records } = await view.records[find](1);
      expect(records.map(({ id }) => id)).toEqual([find === 'list' ? 'lives' : 'other']);
      const found = (await view.records[find](10)).records;
      expect(found.map(({ id }) => id)).toEqual([find === 'list' ? 'lives' : 'other']);
      expect(await view.records.count()).toBe(2);
      expect([
        await ask('EXISTS', log),
        await ask('ZSCORE', ids, 's'),
        await ask('ZSCORE', wakes, 's'),
      ]).toEqual([0, null, null]);
      expect(await view.records.create(recordOf('s'))).toBe('created');
    }
  });

  test('a key of another program under the name of a session hides no other session', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { deployment: name });
    for (const id of ['s', 'due']) await view.records.create(recordOf(id), -1);
    await view.records.create(recordOf('lives'));
    const { row } = keysOf(name, 's');
    await ask('DEL', row);
    await ask('RPUSH', row, 'a list');
    const { records, unreadable } = await view.records.list(10);
    expect(records.map(({ id }) => id)).toEqual(['lives']);
    expect(unreadable).toEqual(['s']);
    expect((await view.records.due(10)).records.map(({ id }) => id)).toEqual(['due']);
    await expect(view.records.read('s')).rejects.toThrow(
      'another program wrote to one of its keys',
    );
    expect(await ask('LRANGE', row, '0', '-1')).toEqual(['a list']);
  });

  test('a place whose time is no longer that of its row names nothing', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { deployment: name });
    for (const id of ['s', 'renewed']) await view.records.create(recordOf(id), -1_000);
    // As if it had been renewed after its place was read.
    await ask('ZADD', keysOf(name, 'renewed').wakes, '3', 'renewed');
    expect((await view.records.due(10)).records.map(({ id }) => id)).toEqual(['s']);
  });

  test('900 steps of one byte count half of what the server takes for them, at least', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const { records, kept } = await openView(server().url, { deployment: name, counted: true });
    await records.create(recordOf('s', { share: 'one' }));
    for (let from = 0; from < 900; from++)
      await records.append({ id: 's', fence: FENCE, stream: 's', from, events: ['1'] });
    let taken = 0;
    for (const key of (await ask('KEYS', `sojourn:${name}:things:*`)) as string[])
      taken += Number(await ask('MEMORY', 'USAGE', key, 'SAMPLES', '0'));
    const { things = 0 } = await kept.of('one');
    expect(things / taken).toBeGreaterThanOrEqual(0.5);
  });

  test('a session whose log was evicted continues with an empty one', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const [view, other] = [
      await openView(server().url, { deployment: name }),
      await openView(server().url, { deployment: name }),
    ];
    await view.records.create(recordOf('s'));
    for (const stream of ['p', 'q']) expect(await append(view, stream, 0, ['1'])).toBe('written');
    await ask('DEL', keysOf(name, 's').log);
    for (const [n, one] of [view, other].entries()) {
      expect(await append(one, `after${n}`, 0, ['1'])).toBe('written');
      expect(await one.records.replay('s', `after${n}`, -1)).toMatchObject({
        found: true,
        next: 1,
      });
    }
    expect(await view.records.replay('s', 'p', -1)).toMatchObject({ found: false });
  });

  test('a new instance removes the entries of crashed instances', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { deployment: name, leaseMs: 60_000 });
    const announce = async (id: string): Promise<void> =>
      view.instances.announce({ id, state: 'serving', version: '1' }, () => undefined);
    await announce('lives');
    // The places of a minute of crashes, whose rows have gone.
    const places = (id: string) => keysOf(name, id, { name: 'leases' });
    const all = Array.from({ length: 600 }, (_, n) => `crashed-${n}`);
    for (const id of all) {
      await ask('ZADD', places(id).wakes, '1', id);
      await ask('ZADD', places(id).ids, '0', id);
    }
    await announce('next');
    for (const order of ['ids', 'wakes'] as const) {
      const keys = [...new Set([...all, 'lives', 'next'].map((id) => places(id)[order]))];
      const left = async (): Promise<number> =>
        (await Promise.all(keys.map((key) => ask('ZCARD', key)))).reduce(
          (sum: number, one) => sum + Number(one),
          0,
        );
      await until(async () => (await left()) === 2);
    }
    expect((await view.instances.list()).map(({ id }) => id).sort()).toEqual(['lives', 'next']);
  });

  test('a key of another program is not overwritten, and the error names the cause', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { deployment: name });
    const { row } = keysOf(name, 's');
    await ask('SET', row, 'theirs');
    await expect(view.records.create(recordOf('s'))).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringMatching(/another prefix/) as string,
    });
    expect(await ask('GET', row)).toBe('theirs');
  });
});
