/** Remains and losses of sessions and instances in Redis: keys deleted by hand or evicted, crashes, clocks. */
import { expect, test } from 'vitest';
import { redis } from '../../src/stores/redis/index.ts';
import { createLog } from '../kit/log.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { moveClock } from './redis-clock.ts';
import { FENCE, ME, newName, openRedis, openView, recordOf } from './redis-views.ts';

describeWithServer('redis', 'in the Redis store', (server) => {
  test('a session that was found expired has ended, also when the clock is set back', async () => {
    const { client, now, pass, close } = await moveClock(server().url);
    const view = await openView(redis(client));
    const acts: Record<string, (id: string) => unknown> = {
      read: (id) => view.records.read(id),
      save: (id) => view.records.save(id, FENCE, { head: 'info' }),
      append: (id) => view.records.append({ id: id, fence: FENCE, stream: 'p', from: 0, events: ['1'] }),
      claim: (id) => view.records.claim(id, FENCE, ME),
      replay: (id) => view.records.replay(id, 'p', -1),
      create: (id) => view.records.create(recordOf(id)),
      list: () => view.records.list(100),
      due: () => view.records.due(100),
    };
    for (const id of Object.keys(acts)) {
      const expiresAt = now() + 1_000;
      await view.records.create(recordOf(id), 1_000);
      await pass(1_000);
      await acts[id]?.(id);
      await pass(-900);
      expect(await view.records.read(id), id).toEqual({ id, outcome: '', at: expiresAt });
      expect(await view.records.save(id, FENCE, { expiresInMs: null }), id).toBe('fenced');
      expect((await view.records.claim(id, FENCE, ME)).claimed, id).toBe(false);
      expect(await view.records.create(recordOf(id)), id).toBe('exists');
      expect((await view.records.list(1_000)).records.length, id).toBe(0);
      expect(await view.records.end(id, FENCE, 'terminated'), id).toBe('ended');
      expect(await view.records.read(id), id).toEqual({ id, outcome: '', at: expiresAt });
    }
    close();
  });

  test('a session without one of its keys or fields is missing, and the log says so', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const logger = createLog();
    const view = await openView(server().url, { name, logger });
    const at = (id: string, key: string): string => `sojourn:${name}:things:{${id}}:${key}`;
    const damages: Record<string, (id: string) => unknown> = {
      head: (id) => ask('DEL', at(id, 'r')),
      body: (id) => ask('DEL', at(id, 'b')),
      fence: (id) => ask('HDEL', at(id, 'r'), 'f'),
      format: (id) => ask('HDEL', at(id, 'r'), 'v'),
      headText: (id) => ask('HDEL', at(id, 'r'), 'h'),
      stamp: (id) => ask('HDEL', at(id, 'r'), 'a'),
    };
    for (const [id, damage] of Object.entries(damages)) {
      await view.records.create(recordOf(id, { user: 'ada', owner: null }));
      await damage(id);
      expect(await view.records.read(id), id).toBeUndefined();
      expect(await view.records.claim(id, { epoch: 1, owner: null }, ME), id).toEqual({
        claimed: false,
        current: undefined,
      });
      const said = logger.lines.filter(({ fields }) => fields['sessionId'] === id);
      expect(said.length > 0, id).toBe(id !== 'head');
    }
    expect((await view.records.list(10)).records).toEqual([]);
  });

  test('a check removes the remaining keys of a session whose head was deleted', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    await view.records.create(recordOf('s', { fields: { a: '1' } }));
    await view.records.create(recordOf('other', { fields: { a: '1' } }));
    const mark = { name: '1', stream: 'p' };
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'], mark });
    await ask('DEL', `sojourn:${name}:things:{s}:r`);
    const left = async (): Promise<unknown> => ask('KEYS', `sojourn:${name}:things:{s}:*`);
    expect(((await left()) as string[]).length).toBeGreaterThan(3);
    await ask('ZADD', `sojourn:{${name}}:things:due`, '1', 's');
    await view.records.due(10);
    expect(await left()).toEqual([]);
    expect(await view.records.read('other')).toEqual(recordOf('other', { fields: { a: '1' } }));
  });

  test('a new instance removes the entries of crashed instances', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name, leaseMs: 60_000 });
    const due = `sojourn:{${name}}:leases:due`;
    const all = `sojourn:{${name}}:leases:all`;
    const announce = async (id: string): Promise<void> =>
      view.instances.announce({ id, state: 'serving', version: '1' }, () => undefined);
    await announce('lives');
    // The entries of a minute of crashes.
    for (let n = 0; n < 600; n++) {
      await ask('ZADD', due, '1', `crashed-${n}`);
      await ask('ZADD', all, '0', `crashed-${n}`);
    }
    await ask('ZADD', due, '1', 'lives');
    await announce('next');
    for (const key of [due, all]) await until(async () => (await ask('ZCARD', key)) === 2);
    expect((await view.instances.list()).map(({ id }) => id).sort()).toEqual(['lives', 'next']);
  });
});
