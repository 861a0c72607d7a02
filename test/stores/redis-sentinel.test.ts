// @module-tag matrix
import { createSentinel } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { redis } from '../../packages/redis/src/index.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import { type SentinelPair, startSentinelPair } from '../kit/servers/fail-over.ts';
import { describeWhereInstalled, freePort } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { announce, FENCE, openRedis, openView, recordOf, replicated } from './redis-views.ts';

const LEASE_MS = 1_500;
/** A sentinel that did not run for 2 s, as on a busy machine, does nothing for the next 30 s (TILT mode of Redis). */
const PATIENCE = { timeoutMs: 120_000 };

async function startPair(downAfterMs?: number): Promise<SentinelPair> {
  const pair = await startSentinelPair([], downAfterMs);
  onTestFinished(() => pair.close());
  return pair;
}

/** Fails while the sentinel knows no replica. */
async function failOver(sentinel: number): Promise<unknown> {
  const ask = await openRedis(`redis://127.0.0.1:${sentinel}`);
  return ask('SENTINEL', 'FAILOVER', 'ours');
}

const caughtUp = async ({ primary, replica }: SentinelPair): Promise<void> =>
  replicated(await openRedis(primary.url), await openRedis(replica.url));

describeWhereInstalled('redis', 'the Redis store behind Sentinel', () => {
  test('uses the primary, and the next one after its death, with sessions, leases and mailboxes', async () => {
    const pair = await startPair();
    const { primary, replica, sentinel } = pair;
    const client = createSentinel({
      name: 'ours',
      sentinelRootNodes: [{ host: '127.0.0.1', port: sentinel }],
    });
    const view = await openView(redis(client), { leaseMs: LEASE_MS });
    const inbox = await announce(view, 'one');
    await view.records.create(recordOf('s', { fields: { a: '1' } }));
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    expect(await view.instances.send('x', 'one', { kind: 'call', n: 1 })).toBe('sent');
    await until(() => inbox.messages.length === 1);

    await caughtUp(pair);
    await primary.killed();
    await until(() => inbox.lost > 0);
    await until(async () => (await view.records.read('s')) !== undefined, PATIENCE);
    expect(((await view.records.read('s')) as StoredRecord).fields).toEqual({ a: '1' });
    await until(
      async () =>
        (await view.records.append({
          id: 's',
          fence: FENCE,
          stream: 'p',
          from: 1,
          events: ['2'],
        })) === 'written',
      PATIENCE,
    );
    const other = await openRedis(replica.url);
    expect(String(await other('INFO', 'replication'))).toContain('role:master');
    // The mailbox has a separate connection, which may still be looking for the primary.
    await until(async () => (await view.instances.renew('one', 'serving')) === false, PATIENCE);
    let id = 'two';
    const next = await until(() => announce(view, (id += '+')), PATIENCE);
    expect(await view.instances.send('x', id, { kind: 'call', n: 2 })).toBe('sent');
    await until(() => next.messages.length === 1);
    expect(client.isOpen).toBe(false);
  }, 300_000);

  test('searches for the primary many times a second, because a search without result does not wait for news', async () => {
    // The sentinel names the dead primary for as long as the test takes.
    const { primary, sentinel } = await startPair(600_000);
    const client = createSentinel({
      name: 'ours',
      sentinelRootNodes: [{ host: '127.0.0.1', port: sentinel }],
    });
    const view = await openView(redis(client));
    const ask = await openRedis(`redis://127.0.0.1:${sentinel}`);
    const connections = async (): Promise<number> =>
      Number(/total_connections_received:(\d+)/.exec(String(await ask('INFO', 'stats')))?.[1]);
    await primary.killed();
    // A search is one connection to the sentinel. A client that pauses for a second begins two in 1.5 s at most. One
    // without pauses begins four, in at least one such time also on a busy machine.
    const looks: Array<{ readonly from: number; readonly count: number }> = [];
    await until(async () => {
      await expect((async () => view.records.read('s'))()).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
      });
      const from = performance.now();
      const count = await connections();
      looks.push({ from, count });
      const since = performance.now() - 1_500;
      return looks.some((look) => look.from > since && count >= look.count + 4);
    });
  });

  test('follows a manual failover of a sentinel that was restarted, while the old primary is alive', async () => {
    const pair = await startPair();
    const { primary, sentinel, restartSentinel } = pair;
    const client = createSentinel({
      name: 'ours',
      sentinelRootNodes: [{ host: '127.0.0.1', port: sentinel }],
    });
    const view = await openView(redis(client), { leaseMs: LEASE_MS });
    const inbox = await announce(view, 'one');
    await view.records.create(recordOf('s'));
    await caughtUp(pair);
    await restartSentinel(500);
    expect(await until(() => failOver(sentinel), PATIENCE)).toBe('OK');
    await until(() => inbox.lost > 0, PATIENCE);
    await until(
      async () => (await view.records.save('s', FENCE, { head: 'info' })) === 'written',
      PATIENCE,
    );
    const old = await openRedis(primary.url);
    await until(
      async () => String(await old('INFO', 'replication')).includes('role:slave'),
      PATIENCE,
    );
    expect(await view.records.save('s', FENCE, { head: 'debug' })).toBe('written');
    expect(await view.records.read('s')).toMatchObject({ head: 'debug' });
  }, 300_000);

  test('says that no sentinel answers', async () => {
    const port = await freePort();
    const client = createSentinel({
      name: 'ours',
      sentinelRootNodes: [{ host: '127.0.0.1', port }],
    });
    const began = performance.now();
    await expect(openView(redis(client), { leaseMs: LEASE_MS })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/Redis behind Sentinel/) as string,
    });
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});
