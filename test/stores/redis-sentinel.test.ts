import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSentinel } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { redis } from '../../src/stores/redis/index.ts';
import type { SessionRecord } from '../../src/stores/store.ts';
import { describeWhereInstalled, freePort, startServer, type TestServer } from '../kit/servers/index.ts';
import { recipes } from '../kit/servers/recipes.ts';
import { until } from '../kit/until.ts';
import { FENCE, openRedis, openView, recordOf } from './redis-views.ts';

const LEASE_MS = 1_500;
const PATIENCE = { timeoutMs: 30_000 };

/** A sentinel is a server in another mode; it writes to its configuration file. */
async function startSentinel(primary: TestServer): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-sentinel-'));
  const [port, file] = [await freePort(), join(folder, 'sentinel.conf')];
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `sentinel monitor ours 127.0.0.1 ${primary.port} 1`,
      // The sentinel pings once a second; with a shorter limit it would fail over a healthy primary.
      'sentinel down-after-milliseconds ours 2500',
      'sentinel failover-timeout ours 3000',
    ].join('\n'),
  );
  const child: ChildProcess = spawn(recipes.redis.find() ?? '', [file, '--sentinel'], { cwd: folder, stdio: 'ignore' });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  const ask = await openRedis(`redis://127.0.0.1:${port}`);
  await until(async () => String(await ask('SENTINEL', 'REPLICAS', 'ours')).includes('ip,127.0.0.1'), PATIENCE);
  return port;
}

async function startPair(): Promise<{ primary: TestServer; replica: TestServer; sentinel: number }> {
  const primary = await startServer('redis');
  onTestFinished(() => primary.close());
  const replica = await startServer('redis', { args: ['--replicaof', `127.0.0.1 ${primary.port}`] });
  onTestFinished(() => replica.close());
  const ask = await openRedis(replica.url);
  await until(async () => String(await ask('INFO', 'replication')).includes('master_link_status:up'), PATIENCE);
  return { primary, replica, sentinel: await startSentinel(primary) };
}

describeWhereInstalled('redis', 'the Redis store behind Sentinel', () => {
  test('uses the primary, and the next one after its death, with sessions, leases and mailboxes', async () => {
    const { primary, replica, sentinel } = await startPair();
    const client = createSentinel({ name: 'ours', sentinelRootNodes: [{ host: '127.0.0.1', port: sentinel }] });
    const view = await openView(redis(client), { leaseMs: LEASE_MS });
    const got: unknown[] = [];
    let lost = 0;
    const announce = async (id: string): Promise<void> =>
      view.instances.announce(
        { id, state: 'serving', version: '1' },
        (_, { n }) => got.push(n),
        () => (lost += 1),
      );
    await announce('one');
    await view.sessions.create(recordOf('s', { state: { a: '1' } }));
    await view.events.append({ sessionId: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    expect(await view.instances.send('x', 'one', { kind: 'call', n: 1 })).toBe('sent');
    await until(() => got.length === 1);

    // An acknowledged write may not have reached the replica yet, as the page of the store says.
    const ask = await openRedis(primary.url);
    expect(await ask('WAIT', '1', '5000')).toBe(1);
    await primary.killed();
    await until(() => lost > 0);
    await until(async () => (await view.sessions.read('s')) !== undefined, PATIENCE);
    expect(((await view.sessions.read('s')) as SessionRecord).state).toEqual({ a: '1' });
    await until(
      async () =>
        (await view.events.append({ sessionId: 's', fence: FENCE, stream: 'p', from: 1, events: ['2'] })) === 'written',
      PATIENCE,
    );
    const other = await openRedis(replica.url);
    expect(String(await other('INFO', 'replication'))).toContain('role:master');
    // The mailbox has a separate connection, which may still be looking for the primary.
    await until(async () => (await view.instances.renew('one', 'serving')) === false, PATIENCE);
    let id = 'two';
    await until(async () => {
      id += '+';
      await announce(id);
      return true;
    }, PATIENCE);
    expect(await view.instances.send('x', id, { kind: 'call', n: 2 })).toBe('sent');
    await until(() => got.length === 2);
    expect(got).toEqual([1, 2]);
    expect(client.isOpen).toBe(false);
  }, 90_000);

  test('follows a manual failover while the old primary is alive', async () => {
    const { primary, sentinel } = await startPair();
    const client = createSentinel({ name: 'ours', sentinelRootNodes: [{ host: '127.0.0.1', port: sentinel }] });
    const view = await openView(redis(client), { leaseMs: LEASE_MS });
    let lost = 0;
    await view.instances.announce(
      { id: 'one', state: 'serving', version: '1' },
      () => undefined,
      () => (lost += 1),
    );
    await view.sessions.create(recordOf('s'));
    const ask = await openRedis(`redis://127.0.0.1:${sentinel}`);
    expect(await until(() => ask('SENTINEL', 'FAILOVER', 'ours'), PATIENCE)).toBe('OK');
    await until(() => lost > 0, PATIENCE);
    await until(async () => (await view.sessions.save('s', FENCE, { logLevel: 'info' })) === 'written', PATIENCE);
    const old = await openRedis(primary.url);
    await until(async () => String(await old('INFO', 'replication')).includes('role:slave'), PATIENCE);
    expect(await view.sessions.save('s', FENCE, { logLevel: 'debug' })).toBe('written');
    expect(await view.sessions.read('s')).toMatchObject({ logLevel: 'debug' });
  }, 90_000);

  test('says that no sentinel answers', async () => {
    const port = await freePort();
    const client = createSentinel({ name: 'ours', sentinelRootNodes: [{ host: '127.0.0.1', port }] });
    const began = performance.now();
    await expect(openView(redis(client), { leaseMs: LEASE_MS })).rejects.toMatchObject({
      code: 'STORE_AWAY',
      message: expect.stringMatching(/Redis behind Sentinel/) as string,
    });
    expect(performance.now() - began).toBeLessThan(15_000);
  }, 60_000);
});
