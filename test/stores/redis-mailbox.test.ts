import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { RedisMailboxes } from '../../packages/redis/src/mailboxes.ts';
import { Instances, type Receive } from '../../src/stores/shared/instances.ts';
import { createLog } from '../kit/log.ts';
import { describeWithServer, startServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { instanceTests, startInstance } from './instances.ts';
import { announce, newName, openRedis, openView } from './redis-views.ts';

describeWithServer('redis', 'mailboxes on Redis', (server) => {
  test('a mailbox that could not be opened leaves no connection behind', async () => {
    const close = vi.fn<() => Promise<void>>(async () => {});
    const link = { ready: () => Promise.reject(new Error('away')), close };
    const mailboxes = new RedisMailboxes({ listener: () => link } as never, (id) => id);
    const instances = new Instances({
      records: {} as never,
      mailboxes,
      leaseMs: null,
      logger: createLog(),
    });
    const lease = { id: 'me', state: 'serving', version: '0' } as const;
    await expect(instances.announce(lease, vi.fn<Receive>())).rejects.toThrow('away');
    expect(close).toHaveBeenCalledTimes(1);
  });

  test('a cut subscription is lost at once; the next renewal finds a new one', async () => {
    const ask = await openRedis(server().url);
    const view = await openView(server().url);
    const inbox = await announce(view, 'me');
    for (let n = 1; n <= 3; n++) {
      const before = inbox.lost;
      await ask('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await until(() => inbox.lost > before);
      expect(await view.instances.renew('me', 'serving')).toBe(true);
      expect(await view.instances.send('x', 'me', { kind: 'call', n })).toBe('sent');
      await until(() => inbox.messages.length === n);
    }
  });

  test('a renewal notices that messages do not arrive although both connections are open', async () => {
    const other = await startServer('redis');
    onTestFinished(() => other.close());
    // Commands on one server and channels on another, then both on one.
    const ports = [server().port, other.port];
    const name = createServer((client) => {
      const upstream = connect(ports.shift() ?? server().port, '127.0.0.1');
      for (const socket of [client, upstream]) socket.on('error', () => undefined);
      client.pipe(upstream).pipe(client);
    });
    onTestFinished(() => void name.close());
    await new Promise<void>((done) => name.listen(0, '127.0.0.1', done));
    const view = await openView(`redis://127.0.0.1:${(name.address() as AddressInfo).port}`);
    const inbox = await announce(view, 'me');
    expect(await view.instances.send('x', 'me', { kind: 'call' })).toBe('suspect');
    await expect((async () => view.instances.renew('me', 'serving'))()).rejects.toThrow(
      /not heard/,
    );
    expect(inbox.lost).toBeGreaterThan(0);
    expect(await view.instances.renew('me', 'serving')).toBe(true);
    expect(await view.instances.send('x', 'me', { kind: 'call' })).toBe('sent');
    await until(() => inbox.messages.length === 1);
  });
});

describeWithServer('redis', 'instances in processes of their own', (server) => {
  const at = (name: string) => ({ target: server().url, name });

  instanceTests(async () => at(newName()));

  test('an instance that reads nothing is disconnected when its buffer is full, learns it, and recovers', async () => {
    const ask = await openRedis(server().url);
    const limit = async (value: string): Promise<unknown> =>
      ask('CONFIG', 'SET', 'client-output-buffer-limit', `pubsub ${value}`);
    await limit('4mb 2mb 1');
    const name = newName();
    const view = await openView(server().url, { deployment: name });
    await announce(view, 'me');
    const instance = await startInstance(at(name), 'a');
    instance.process.kill('SIGSTOP');
    // Valkey 9 does not count replies of 16 KiB and more.
    const text = 'x'.repeat(10_000);
    const send = async () => view.instances.send('me', 'a', { kind: 'call', text });
    await until(async () =>
      (await Promise.all(Array.from({ length: 50 }, send))).includes('suspect'),
    );
    instance.process.kill('SIGCONT');
    await until(() => instance.lines().includes('lost'));
    await until(async () => (await view.instances.send('me', 'a', { kind: 'after' })) === 'sent');
    await until(() => instance.lines().some((line) => line.includes('after')));
    await limit('32mb 8mb 60');
  });
});
