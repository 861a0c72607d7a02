import { CREATE, SAVE } from '../../src/stores/redis/record-scripts.ts';
import { expect, onTestFinished, test } from 'vitest';
import { answerLimitMs } from '../../src/stores/shared/answer-limit.ts';
import type { StoredRecord, WriteOutcome } from '../../src/stores/store.ts';
import { openStreams, type View } from '../store-contract/view.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWhereInstalled, describeWithServer, startServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { AWAY, turns } from './outages.ts';
import { FENCE, ME, newName, OWNERLESS, openRedis, openView, recordOf } from './redis-views.ts';

type Ask = Awaited<ReturnType<typeof openRedis>>;

const LEASE_MS = 30_000;

const read = async (view: View, id: string): Promise<StoredRecord> => (await view.records.read(id)) as StoredRecord;

/** The number of scripts that have run. */
async function scriptsRun(ask: Ask): Promise<number> {
  const stats = String(await ask('INFO', 'commandstats'));
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

describeWhereInstalled('redis', 'a write that a broken connection delivers late', () => {
  interface Late {
    readonly name: string;
    first(view: View): unknown;
    later(view: View): unknown;
    check(view: View): unknown;
  }

  const marker = { name: '1', stream: 'p' };
  const late: readonly Late[] = [
    {
      name: 'a save does not undo a later one',
      first: (view) => view.records.save('s', FENCE, { fields: { a: '1' } }),
      later: (view) => view.records.save('s', FENCE, { fields: { a: '2' } }),
      check: async (view) => expect((await read(view, 's')).fields).toEqual({ a: '2' }),
    },
    {
      name: 'a marker does not come back',
      first: (view) => view.records.append({ id: 's', fence: FENCE, stream: null, mark: marker }),
      later: (view) => view.records.append({ id: 's', fence: FENCE, stream: null, unmark: marker }),
      check: async (view) => expect(await view.records.claim('s', FENCE, ME)).toMatchObject({ marks: [] }),
    },
    {
      name: 'an append that its owner gave up does not open its stream',
      first: (view) => view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: [''] }),
      later: (view) => view.records.save('s', FENCE, { head: 'info' }),
      check: async (view) => expect(await openStreams(view, 's')).toEqual([]),
    },
    {
      name: 'an end does not end a session that was claimed later',
      first: (view) => view.records.end('free', OWNERLESS, 'terminated'),
      later: (view) => view.records.claim('free', OWNERLESS, ME),
      check: async (view) => expect(await read(view, 'free')).toMatchObject({ epoch: 2, owner: ME }),
    },
  ];

  test.each(late)('$name', async ({ first, later, check }) => {
    const server = await startServer('redis');
    onTestFinished(() => server.close());
    const proxy = await createFaultProxy({ port: server.port });
    onTestFinished(() => proxy.close());
    const ask = await openRedis(server.url);
    const time = createFakeTime();
    const view = await openView(`redis://127.0.0.1:${proxy.port}`, { time, leaseMs: LEASE_MS });
    await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    await view.records.create(recordOf('s'));
    await view.records.create(recordOf('free', { owner: null }));
    const other = await openView(server.url);
    expect((await other.records.list(1_000)).records.length).toBe(0);

    proxy.delay(600_000);
    const refused = expect((async () => first(view))()).rejects.toMatchObject(AWAY);
    await turns();
    const passed = time.advance(answerLimitMs(LEASE_MS));
    await refused;
    // The store connects anew.
    proxy.delay(0);
    await passed;
    await until(() => view.records.read('s'));
    const ran = await scriptsRun(ask);
    await later(view);
    expect(await scriptsRun(ask)).toBe(ran + 1);
    // The delayed one.
    proxy.heal();
    await until(async () => (await scriptsRun(ask)) === ran + 2);
    await check(view);
  });
});

describeWithServer('redis', 'writes to Redis', (server) => {
  test('a renewal after a later one, and an announcement after the instance has left, do nothing', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    const keys = (id: string): readonly string[] =>
      ['r', 'b', 's', 'o', 'k', 'l'].map((key) => `sojourn:${name}:leases:{${id}}:${key}`);
    const written = async (): Promise<string> => String(await ask('HGET', keys(ME)[0] ?? '', 'w'));
    await view.instances.renew(ME, 'serving');
    const early = await written();
    await view.instances.renew(ME, 'draining');
    expect(await written()).not.toBe(early);
    const late = [early, `1 ${ME}`, '1000', '', '30000', '', '', '1', 'h', 'serving'];
    expect(await ask('EVAL', SAVE.lua, '4', ...keys(ME).slice(0, 4), ...late)).toBe('L');
    expect(await view.instances.read(ME)).toMatchObject({ state: 'draining' });
    await view.instances.leave(ME);
    const lease = ['1000', '1000', '30000', '', '["",0]', '3', 'f', `1 ${ME}`, 'v', '1', 'h', 'serving'];
    const create = (id: string, until: number): Promise<unknown> =>
      ask('EVAL', CREATE.lua, '6', ...keys(id), String(until), ...lease);
    expect(await create(ME, Date.now() + 60_000)).toBe('X');
    expect(await view.instances.read(ME)).toBeUndefined();
    expect(await create('other', Date.now() - 60_000)).toBe('L');
  });

  test('the writes of one turn leave in one packet', async () => {
    const ask = await openRedis(server().url);
    const view = await openView(server().url);
    await view.records.create(recordOf('s'));
    const reads = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(String(await ask('INFO', 'stats')))?.[1]);
    const before = await reads();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, async (_, n) =>
        view.records.append({
          id: 's',
          fence: FENCE,
          stream: `p1x${n}`,
          from: 0,
          events: ['', '{}'],
          complete: true,
        }),
      ),
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
    const append = (from: number): Promise<WriteOutcome> | WriteOutcome =>
      view.records.append({ id: 's', fence: FENCE, stream: 'g', from, events: [`${from}`] });
    expect(await Promise.all([append(0), append(1), append(2)])).toEqual(['written', 'written', 'written']);
    expect(await view.records.read('s')).toEqual(recordOf('s'));
  });

  test('a record of a newer version is refused with the hash of its id, and not claimed', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    await view.records.create(recordOf('s', { owner: null }));
    await ask('HSET', `sojourn:${name}:things:{s}:r`, 'v', '2');
    const refused = {
      ...AWAY,
      message: expect.stringMatching(/session [0-9a-f]{12} .*newer version.*record 2/) as string,
    };
    await expect(view.records.read('s')).rejects.toMatchObject(refused);
    await expect(view.records.claim('s', OWNERLESS, ME)).rejects.toMatchObject(refused);
    await expect(view.records.list(10)).rejects.toMatchObject(refused);
    await ask('HSET', `sojourn:${name}:things:{s}:r`, 'v', '1');
    expect(await view.records.read('s')).toEqual(recordOf('s', { owner: null }));
  });

  test('a key of another program is not overwritten, and the error names the cause', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    await ask('SET', `sojourn:${name}:things:{s}:r`, 'theirs');
    await expect(view.records.create(recordOf('s'))).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringMatching(/another prefix/) as string,
    });
    expect(await ask('GET', `sojourn:${name}:things:{s}:r`)).toBe('theirs');
  });
});

/** Keys of a deployment with the remaining ms of each; -1: no expiry. */
async function lifetimes(ask: Ask, name: string): Promise<Map<string, number>> {
  const keys = (await ask('KEYS', `sojourn:*${name}*`)) as string[];
  const times = await Promise.all(keys.map(async (key) => Number(await ask('PTTL', key))));
  return new Map(keys.map((key, n) => [key.slice(key.indexOf('}:') + 2), times[n] ?? 0]));
}

describeWithServer('redis', 'what Redis keeps goes by itself', (server) => {
  const HOUR = 3_600_000;
  const LEFT = 86_400_000;

  async function used(name: string, expiresInMs: number | null, ttlMs: number): Promise<View> {
    const view = await openView(server().url, {
      name,
      keepMs: HOUR,
      log: { ttlMs, events: 100, bytes: 10_000 },
    });
    await view.records.create(recordOf('s', { fields: { a: '1' } }), expiresInMs);
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['', '1'], complete: true });
    const mark = { name: '1', stream: 'q' };
    await view.records.append({ id: 's', fence: FENCE, stream: 'q', from: 0, events: [''], mark });
    return view;
  }

  test('keys of a session expire long after the session, those of its log with the last event', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await used(name, HOUR, 600_000);
    const near = (ms: number | undefined, expected: number): boolean =>
      ms !== undefined && ms <= expected && ms > expected - 60_000;
    const before = await lifetimes(ask, name);
    for (const key of ['r', 'b', 's', 'o']) expect(near(before.get(key), 2 * HOUR + LEFT), key).toBe(true);
    for (const key of ['k', 'l']) expect(near(before.get(key), 637_500), key).toBe(true);
    await view.records.save('s', FENCE, { expiresInMs: 2 * HOUR, fields: { b: '1' } });
    const moved = await lifetimes(ask, name);
    for (const key of ['r', 'b', 's', 'o']) expect(near(moved.get(key), 3 * HOUR + LEFT), key).toBe(true);
    for (const key of ['k', 'l']) expect(near(moved.get(key), 637_500), key).toBe(true);
    await view.records.save('s', FENCE, { expiresInMs: null });
    const kept = await lifetimes(ask, name);
    for (const key of ['r', 'b', 's', 'o']) expect(kept.get(key), key).toBe(-1);
    await view.records.end('s', FENCE, 'deleted');
    const ended = await lifetimes(ask, name);
    expect([...ended.keys()]).toEqual(['r']);
    expect(near(ended.get('r'), HOUR)).toBe(true);
  });

  test('the keys of a log without a time limit expire with the session', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await used(name, HOUR, Infinity);
    const before = await lifetimes(ask, name);
    expect([...before.keys()].sort()).toEqual(['b', 'k', 'l', 'o', 'r', 's', 'things:all', 'things:due']);
    for (const key of ['k', 'l']) expect(before.get(key), key).toBeGreaterThan(HOUR);
    await view.records.save('s', FENCE, { expiresInMs: null });
    const kept = await lifetimes(ask, name);
    for (const key of ['k', 'l']) expect(kept.get(key), key).toBe(-1);
  });

  test('a log holds little more than retention keeps, and no name of a deleted stream', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const retention = { ttlMs: HOUR, events: 100, bytes: 1_000_000 };
    const view = await openView(server().url, { name, log: retention });
    await view.records.create(recordOf('s'));
    const most = { elements: 0, names: 0 };
    for (let n = 0; n < 500; n++) {
      const at = { id: 's', fence: FENCE, stream: `p${n}` };
      if (n % 7 === 0) {
        await view.records.append({ ...at, from: 0, events: ['', '1'] });
        await view.records.append({ ...at, from: 2, events: [], complete: true });
      } else await view.records.append({ ...at, from: 0, events: ['', '1'], complete: true });
      most.elements = Math.max(most.elements, Number(await ask('LLEN', `sojourn:${name}:things:{s}:l`)));
      most.names = Math.max(most.names, Number(await ask('HLEN', `sojourn:${name}:things:{s}:k`)));
    }
    expect(most.elements).toBeLessThan(75);
    expect(most.names).toBeLessThan(75);
    expect(most.elements).toBeGreaterThan(40);
  });

  test('leases, ids of dead instances, and secrets with a lifetime expire', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name, leaseMs: 5_000 });
    await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    await view.secret('kept');
    await view.secret('daily', 60_000);
    const lasts = (kind: string, id: string): unknown => ask('PTTL', `sojourn:${name}:${kind}:{${id}}:r`);
    // A crashed instance: a day as the dead id, and another until the next one starts.
    expect(await lasts('leases', ME)).toBeGreaterThan(2 * LEFT);
    expect(await lasts('leases', ME)).toBeLessThanOrEqual(2 * LEFT + 5_000);
    expect(await lasts('secrets', 'kept')).toBe(-1);
    expect(await lasts('secrets', 'daily')).toBeGreaterThan(0);
    expect(await lasts('secrets', 'daily')).toBeLessThanOrEqual(60_000);
    await view.instances.leave(ME);
    expect(await lasts('leases', ME)).toBeGreaterThan(LEFT - 60_000);
    expect(await lasts('leases', ME)).toBeLessThanOrEqual(LEFT);
    expect(await ask('KEYS', `sojourn:${name}:leases:*`)).toHaveLength(1);
  });
});
