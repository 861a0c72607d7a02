import { expect, test } from 'vitest';
import { redis } from '../../packages/redis/src/index.ts';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { outageCases } from './outage-cases.ts';
import { AWAY, ownServer } from './outages.ts';
import { FENCE, newName, openRedis, openView, recordOf } from './redis-views.ts';

describeWhereInstalled('redis', 'while Redis is away', () => {
  outageCases('redis');

  test('a full server takes leases, claims and ends, and refuses what adds data with an error that says what to do', async () => {
    const server = await ownServer(
      'redis',
      '--maxmemory',
      '20mb',
      '--maxmemory-policy',
      'noeviction',
    );
    const ask = await openRedis(server.url);
    const name = newName();
    const view = await openView(server.url, {
      deployment: name,
      kind: 'parcels',
      listed: true,
      grouped: true,
    });
    const brief = await openView(server.url, { deployment: name, leaseMs: 500 });
    const other = await openView(server.url, { kind: 'letters', listed: false });
    const lease = (id: string) => ({ id, state: 'serving', version: '1' }) as const;
    await view.instances.announce(lease('here'), () => {});
    await brief.instances.announce(lease('short'), () => {});
    for (const id of ['g.s', 'g.t']) await view.records.create(recordOf(id));
    await ask('CONFIG', 'SET', 'maxmemory', '1');
    const full = { ...AWAY, message: expect.stringMatching(/memory is full/) as string };
    await expect(view.records.save('g.s', FENCE, { fields: { more: 'x' } })).rejects.toMatchObject(
      full,
    );
    await expect(view.records.create(recordOf('g.u'))).rejects.toMatchObject(full);
    await expect(other.records.create(recordOf('u'))).rejects.toMatchObject(full);
    await expect(view.records.add('g.s', 'field', 'x')).rejects.toMatchObject(full);
    expect(await view.records.read('g.s')).toEqual(recordOf('g.s'));
    expect(await view.instances.renew('here', 'serving')).toBe(true);
    await view.instances.announce(lease('late'), () => {});
    await until(async () => (await view.instances.read('short')) === undefined);
    expect(await view.instances.renew('here', 'draining')).toBe(true);
    expect(await view.instances.read('late')).toMatchObject(lease('late'));
    expect(await view.secret('made')).toHaveLength(32);
    expect(await view.records.save('g.s', FENCE, { head: 'info', release: true })).toBe('written');
    expect(await view.records.claim('g.s', { epoch: 1, owner: null }, 'other')).toMatchObject({
      claimed: true,
    });
    expect(await view.records.end('g.t', FENCE, 'done')).toBe('ended');
    expect([await view.records.count('g'), (await view.records.due(10)).records]).toEqual([1, []]);
    await ask('CONFIG', 'SET', 'maxmemory', '20mb');
    const claimed = { epoch: 2, owner: 'other' };
    expect(await view.records.save('g.s', claimed, { fields: { more: 'x' } })).toBe('written');
  });

  test('a second view that opens while the server is away is refused, and takes nothing from the first', async () => {
    const server = await ownServer('redis');
    const store = redis(server.url);
    const first = await openView(store);
    await server.killed();
    await expect(openView(store)).rejects.toMatchObject(AWAY);
    await server.start();
    const second = await until(() => openView(store));
    expect(await second.records.create(recordOf('s'))).toBe('created');
    await second.close();
    expect(await first.records.create(recordOf('s'))).toBe('created');
  });

  test('a replica is refused, at the start and when the primary becomes one', async () => {
    const [primary, other] = [await ownServer('redis'), await ownServer('redis')];
    const ask = await openRedis(primary.url);
    const view = await openView(primary.url);
    await view.records.create(recordOf('s'));
    await ask('REPLICAOF', '127.0.0.1', String(other.port));
    await expect(openView(primary.url)).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringMatching(/is a replica/) as string,
    });
    await expect(view.records.save('s', FENCE, {})).rejects.toMatchObject(AWAY);
    await ask('REPLICAOF', 'NO', 'ONE');
    await until(async () => (await view.records.create(recordOf('t'))) === 'created');
  });
});
