import type { StoredRecord } from '../../src/stores/store.ts';
import { expect, test } from 'vitest';
import { ADD, CREATE } from '../../src/stores/redis/record-scripts.ts';
import { RESERVE } from '../../src/stores/redis/directory-scripts.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { dueNow } from '../store-contract/view.ts';
import { until } from '../kit/until.ts';
import { FENCE, ME, newName, openRedis, openView, recordOf } from './redis-views.ts';

const keysOf = (name: string) => ({
  sessions: `sojourn:{${name}}:things:all`,
  due: `sojourn:{${name}}:things:due`,
  leases: `sojourn:{${name}}:leases:all`,
  leasesDue: `sojourn:{${name}}:leases:due`,
  session: (id: string) => ['r', 'b', 's', 'o', 'k', 'l'].map((key) => `sojourn:${name}:things:{${id}}:${key}`),
});

describeWithServer('redis', 'the directory of sessions', (server) => {
  test('lists all expired sessions with their owners', async () => {
    const view = await openView(server().url);
    const make = async (prefix: string, count: number, owner: string | null): Promise<unknown> =>
      Promise.all(
        Array.from({ length: count }, async (_, n) =>
          view.records.create(recordOf(`${prefix}${n}`, { owner }), -1_000),
        ),
      );
    await make('owned', 400, ME);
    await make('left', 350, 'dead');
    await make('free', 50, null);
    await view.records.create(recordOf('lives'));
    expect((await view.records.list(1_000)).records.length).toBe(1);
    expect(await dueNow(view, 5)).toHaveLength(5);
    const expired = await dueNow(view, 1_000);
    expect(new Set(expired.map(({ id }) => id)).size).toBe(800);
    expect(expired.filter(({ owner }) => owner === ME)).toHaveLength(400);
    await Promise.all(expired.map(async (one) => view.records.end(one.id, one, 'idle')));
    expect(await dueNow(view, 1_000)).toEqual([]);
    expect((await view.records.list(1_000)).records.map(({ id }) => id)).toEqual(['lives']);
  });

  test('checks a session with a later expiry only at its old expiry, then at the new one', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { due } = keysOf(name);
    const score = async (): Promise<number> => Number(await ask('ZSCORE', due, 's'));
    const expiry = async (): Promise<number> => ((await view.records.read('s')) as StoredRecord).expiresAt ?? 0;
    await view.records.create(recordOf('s'), 10_000);
    const first = await score();
    expect(first).toBeLessThanOrEqual(await expiry());
    expect(first).toBeGreaterThan((await expiry()) - 1_000);
    await view.records.save('s', FENCE, { expiresInMs: 7_200_000 });
    expect(await score()).toBe(first);
    await ask('ZADD', due, String(Date.now() - 1), 's');
    await dueNow(view, 10);
    expect((await view.records.list(1_000)).records.length).toBe(1);
    expect(await score()).toBe(await expiry());
    expect(await expiry()).toBeGreaterThan(Date.now() + 7_100_000);
    await view.records.save('s', FENCE, { expiresInMs: 10_000 });
    expect(await score()).toBe(await expiry());
    expect(await expiry()).toBeLessThan(Date.now() + 11_000);
    await view.records.save('s', FENCE, { expiresInMs: null });
    await ask('ZADD', due, '1', 's');
    await dueNow(view, 10);
    expect((await view.records.list(1_000)).records.length).toBe(1);
    expect(await score()).toBeGreaterThan(Date.now() + 3_600_000);
  });

  test('keeps the entry of a session that is being created, and removes it if the session never appears', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { sessions, due } = keysOf(name);
    const until = Number(await ask('EVAL', RESERVE.lua, '2', due, sessions, 's', '60000'));
    expect(until).toBeGreaterThan(Date.now() + 20_000);
    expect(await view.records.list(10)).toEqual({ records: [] });
    expect(await dueNow(view, 10)).toEqual([]);
    await dueNow(view, 10);
    expect(await ask('ZRANGE', sessions, '0', '-1')).toEqual(['s']);
    await ask('ZADD', due, String(Date.now() - 1), 's');
    await dueNow(view, 10);
    expect((await view.records.list(1_000)).records.length).toBe(0);
    expect(await ask('EXISTS', sessions, due)).toBe(0);
  });

  test('a session is not created when its entry may have been removed', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const make = async (until: number): Promise<unknown> =>
      ask('EVAL', CREATE.lua, '6', ...keysOf(name).session('s'), `${until}`, '1', '1', '', '', '{}', '1', 'f', '1 ');
    expect(await make(Date.now() - 1)).toBe('L');
    expect(await view.records.read('s')).toBeUndefined();
    expect(await make(Date.now() + 60_000)).toBe('W');
  });

  test('a field is not added when its check may have run, and the check that is reserved for it finds the bell', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { session, due } = keysOf(name);
    const [head, , fields] = session('s');
    await view.records.create(recordOf('s'));
    const add = async (until: number): Promise<unknown> =>
      ask('EVAL', ADD.lua, '2', head ?? '', fields ?? '', `${until}`, '1', 'answer', 'yes');
    expect(await add(Date.now() - 1)).toBe('L');
    expect(await view.records.read('s')).toMatchObject({ rung: 0, fields: {} });
    // The instance crashed after the field was stored, so nothing has moved the check to now.
    await ask('ZADD', due, String(Date.now() + 60_000), 's');
    expect(await add(Date.now() + 60_000)).toBe('W');
    expect(await dueNow(view, 10)).toEqual([]);
    await ask('ZADD', due, '1', 's');
    expect(await dueNow(view, 10)).toEqual([{ id: 's', ...FENCE, expired: false }]);
  });

  test('a group counts what a crash has left half created or half ended, until it is checked, and never too few', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name, grouped: true });
    const { sessions, due, session } = keysOf(name);
    const count = async (): Promise<number> => view.records.count('g');
    for (const id of ['g.a', 'g.b', 'g-.a', 'g/.a', 'ga.a']) await view.records.create(recordOf(id));
    // Half created: the entry is there, the record never comes.
    await ask('EVAL', RESERVE.lua, '2', due, sessions, 'g.half', '60000');
    expect(await count()).toBe(3);
    const left = Number(await ask('ZSCORE', due, 'g.half')) - Date.now();
    expect(left).toBeLessThanOrEqual(60_000);
    await ask('ZADD', due, '1', 'g.half');
    await dueNow(view, 10);
    expect(await count()).toBe(2);
    // Half ended: the record has gone, and its entry has not. The end has made its check due.
    await ask('DEL', ...(session('g.b') as [string]));
    await ask('ZADD', due, 'XX', 'LT', String(Date.now() - 1), 'g.b');
    expect(await count()).toBe(2);
    await dueNow(view, 10);
    expect(await count()).toBe(1);
    expect((await view.records.list(10, undefined, 'g')).records.map(({ id }) => id)).toEqual(['g.a']);
  });

  test('the end of a record of a grouped kind makes its check due, before its entry is removed', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name, grouped: true });
    const { due } = keysOf(name);
    await view.records.create(recordOf('g.a'));
    // A refused end changes no more than the time of the check: as if the instance had crashed right after it.
    expect(await view.records.end('g.a', { ...FENCE, epoch: 7 }, 'deleted')).toBe('fenced');
    expect(Number(await ask('ZSCORE', due, 'g.a'))).toBeLessThanOrEqual(Date.now());
    await dueNow(view, 10);
    expect(Number(await ask('ZSCORE', due, 'g.a'))).toBeGreaterThan(Date.now() + 3_600_000);
    expect(await view.records.end('g.a', FENCE, 'deleted')).toBe('ended');
    // An end that finds nothing makes no entry.
    for (const id of ['g.a', 'g.none']) expect(await view.records.end(id, FENCE, 'deleted')).toBe('gone');
    expect(await view.records.count('g')).toBe(0);
  });

  test('an entry that is created again during its check stays', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { sessions, due } = keysOf(name);
    // Many checks and creates at once: at the end every living session has its entry.
    for (let round = 0; round < 20; round++) {
      await ask('ZADD', due, '1', 's');
      await ask('ZADD', sessions, '0', 's');
      await Promise.all([
        dueNow(view, 10),
        dueNow(view, 10),
        view.records.create(recordOf('s')),
        view.records.list(10),
      ]);
      expect((await view.records.list(1_000)).records.length).toBe(1);
      expect(await ask('ZRANGE', due, '0', '-1')).toEqual(['s']);
      await view.records.end('s', FENCE, 'deleted');
      await ask('DEL', ...(keysOf(name).session('s') as [string]));
    }
  });

  test('forgets dead instances, but no instance that is announcing itself', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { leases, leasesDue } = keysOf(name);
    await view.instances.announce({ id: 'lives', state: 'serving', version: '1' }, () => undefined);
    for (const [id, at] of Object.entries({ announcing: Date.now() + 60_000, dead: 1 })) {
      await ask('ZADD', leases, '0', id);
      await ask('ZADD', leasesDue, String(at), id);
    }
    expect((await view.instances.list()).map(({ id }) => id)).toEqual(['lives']);
    await view.instances.announce({ id: 'next', state: 'serving', version: '1' }, () => undefined);
    for (const key of [leases, leasesDue])
      await until(async () => {
        const ids = ((await ask('ZRANGE', key, '0', '-1')) as string[]).sort();
        return ids.join(' ') === 'announcing lives next';
      });
  });
});
