import { APPEND, PUT } from '../../packages/redis/src/row-scripts.ts';
import { expect, onTestFinished, test } from 'vitest';
import { answerLimitMs } from '../../src/stores/shared/answer-limit.ts';
import type { StoredRecord, WriteOutcome } from '../../src/stores/store.ts';
import { openStreams, type View } from '../store-contract/view.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWhereInstalled, describeWithServer, startServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { AWAY, turns } from './outages.ts';
import { FENCE, keysOf, ME, newName, OWNERLESS, openRedis, openView, recordOf } from './redis-views.ts';

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
    await later(view);
    const ran = await scriptsRun(ask);
    // The delayed one.
    proxy.heal();
    await until(async () => (await scriptsRun(ask)) === ran + 1);
    await check(view);
  });
});

describeWithServer('redis', 'writes to Redis', (server) => {
  test('a put that names another version, and an entry below the last one or under another fence, change nothing', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const { row, log, wakes, ids } = keysOf(name, 's');
    const version = async (): Promise<string> => String(await ask('HGET', row, 'v'));
    const put = (was: string): Promise<unknown> =>
      ask('EVAL', PUT.lua, '4', row, log, wakes, ids, 's', was, '', '7', '9 other', '', '[]', '0', '1');
    const append = (fence: string, entry: string): Promise<unknown> =>
      ask('EVAL', APPEND.lua, '2', row, log, fence, '0', entry);
    await view.records.create(recordOf('s', { fields: { a: '1' } }));
    const early = await version();
    await view.records.save('s', FENCE, { head: 'info' });
    expect(await version()).not.toBe(early);
    // A late save, and a creation that arrives once more.
    expect([await put(early), await put('0')]).toEqual([0, 0]);
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    const fence = `${FENCE.epoch} ${FENCE.owner}`;
    expect(await append(fence, '1,"p",[0,1,1,0]\nx')).toBe(0);
    expect(await append('2 other', '2,"p",[1,1,1,0]\nx')).toBe(0);
    expect(await view.records.read('s')).toEqual(recordOf('s', { fields: { a: '1' }, head: 'info' }));
    expect(await view.records.replay('s', 'p', -1)).toMatchObject({ found: true, next: 1 });
    await view.records.end('s', FENCE, 'deleted');
    expect([await put(early), await append(fence, '9,"p",[1,1,1,0]\nx')]).toEqual([0, 0]);
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
    const { row } = keysOf(name, 's');
    const data = String(await ask('HGET', row, 'd'));
    await ask('HSET', row, 'd', data.replace('[1,', '[2,'));
    const refused = {
      ...AWAY,
      message: expect.stringMatching(/session [0-9a-f]{12} .*newer version.*record 2/) as string,
    };
    await expect(view.records.read('s')).rejects.toMatchObject(refused);
    await expect(view.records.claim('s', OWNERLESS, ME)).rejects.toMatchObject(refused);
    await expect(view.records.list(10)).rejects.toMatchObject(refused);
    await ask('HSET', row, 'd', data);
    expect(await view.records.read('s')).toEqual(recordOf('s', { owner: null }));
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

describeWithServer('redis', 'a log in Redis', (server) => {
  test('holds at most twice what retention keeps', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const retention = { ttlMs: 3_600_000, events: 100, bytes: 1_000_000 };
    const view = await openView(server().url, { name, log: retention });
    const { log } = keysOf(name, 's');
    await view.records.create(recordOf('s'));
    let most = 0;
    for (let n = 0; n < 500; n++) {
      const at = { id: 's', fence: FENCE, stream: `p${n}` };
      await view.records.append({ ...at, from: 0, events: ['', '1'], complete: true });
      most = Math.max(most, Number(await ask('LLEN', log)));
    }
    expect(most).toBeLessThan(110);
    expect(most).toBeGreaterThan(50);
  });
});
