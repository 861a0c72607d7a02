import { rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { SessionRecord } from '../../src/stores/store.ts';
import { describeWhereInstalled, freePort } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connectTo, FENCE, ME, openView, recordOf, storeOptions } from './nats-views.ts';
import { asked, AWAY, BOUND_MS, failsWithin, frozen, LEASE_MS, ownServer, proxied, SLACK_MS } from './outages.ts';

describeWhereInstalled('nats', 'while NATS is away', () => {
  test('a store that cannot be reached is not opened: it says where, and can be opened later', async () => {
    const port = await freePort();
    const url = `nats://user:secret@127.0.0.1:${port}`;
    await expect(openView(url)).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringMatching(new RegExp(`NATS at 127.0.0.1:${port}.*ECONNREFUSED`)) as string,
    });
    await expect(openView(url)).rejects.not.toMatchObject({ message: expect.stringContaining('secret') as string });
  });

  test('a server that accepts connections and sends nothing fails the opening in time', async () => {
    const server = await ownServer('nats');
    await frozen(server);
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
    expect(await failsWithin(() => openView(server.url, { leaseMs: LEASE_MS }))).toBeLessThan(BOUND_MS + SLACK_MS);
    await until(() => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length <= before);
    server.resume();
    await openView(server.url);
  });

  test('a server of another protocol is distinguished from an outage', async () => {
    const other = createServer((socket) => socket.end('+PONG\r\n')).listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(openView(`nats://127.0.0.1:${port}`)).rejects.toMatchObject({
      message: expect.stringMatching(/not a NATS server/) as string,
    });
  });

  test('one object that could not be opened is opened when the server is there', async () => {
    const server = await ownServer('nats');
    await server.stop();
    const store = nats(server.url);
    await expect(openView(store)).rejects.toMatchObject(AWAY);
    await server.start();
    const view = await openView(store);
    expect(await view.sessions.count()).toBe(0);
  });

  test('killed, everything asked fails in time; back, everything is there', async () => {
    const server = await ownServer('nats');
    const view = await openView(server.url, { leaseMs: LEASE_MS });
    await view.sessions.create(recordOf('s', { state: { a: '1' } }));
    await view.events.append({ sessionId: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    await server.killed();
    for (const [name, ask] of Object.entries(asked(view))) {
      expect(await failsWithin(ask), name).toBeLessThan(BOUND_MS + SLACK_MS);
    }
    await server.start();
    await until(() => view.sessions.read('s'));
    expect(await view.sessions.read('s')).toEqual(recordOf('s', { state: { a: '1' } }));
    expect((await view.events.replay('s', 'p', -1)).found).toBe(true);
    expect(await view.events.append({ sessionId: 's', fence: FENCE, stream: 'p', from: 1, events: ['2'] })).toBe(
      'written',
    );
  });

  test('in a longer outage everything fails at once', async () => {
    const server = await ownServer('nats');
    const view = await openView(server.url);
    await view.sessions.create(recordOf('s'));
    await server.killed();
    await until(async () => (await failsWithin(() => view.sessions.read('s'))) < 100, { timeoutMs: 10_000 });
    for (const [name, ask] of Object.entries(asked(view))) expect(await failsWithin(ask), name).toBeLessThan(BOUND_MS);
  });

  test('frozen, everything asked fails in time, then at once; thawed, it works again', async () => {
    const server = await ownServer('nats');
    const view = await openView(server.url, { leaseMs: LEASE_MS });
    await view.sessions.create(recordOf('s'));
    await frozen(server);
    const waiting = Object.entries(asked(view)).map(async ([name, ask]) => [name, await failsWithin(ask)] as const);
    for (const [name, ms] of await Promise.all(waiting)) expect(ms, name).toBeLessThan(BOUND_MS + SLACK_MS);
    expect(await failsWithin(() => view.sessions.read('s'))).toBeLessThan(BOUND_MS);
    server.resume();
    const { epoch } = (await until(() => view.sessions.read('s'))) as SessionRecord;
    // What had no answer may have been done.
    expect([1, 2]).toContain(epoch);
    expect(await view.sessions.save('s', { epoch, owner: ME }, { logLevel: 'info' })).toBe('written');
  });

  test(
    'frozen, the store accepts only so many bytes of events, and refuses the rest at once',
    { timeout: 120_000 },
    async () => {
      const server = await ownServer('nats');
      const view = await openView(server.url, { leaseMs: 60_000 });
      await view.sessions.create(recordOf('s'));
      await frozen(server);
      const data = JSON.stringify('x'.repeat(10_000));
      let refused = 0;
      let why: unknown;
      const taken: Promise<unknown>[] = [];
      for (let from = 0; from < 20_000; from++) {
        const append = { sessionId: 's', fence: FENCE, stream: 'p', from, events: [data] };
        const answer = (async () => view.events.append(append))();
        taken.push(
          answer.catch((error: unknown) => {
            refused += 1;
            why ??= error;
          }),
        );
        if (from % 100 === 0) await new Promise((done) => setImmediate(done));
      }
      // 64 MiB are some 6,100 of them.
      expect(refused).toBeGreaterThan(13_000);
      expect(refused).toBeLessThan(15_000);
      expect(why).toMatchObject({ ...AWAY, message: expect.stringMatching(/further messages are refused/) as string });
      server.resume();
      await Promise.all(taken);
      await until(async () => (await view.sessions.save('s', FENCE, { logLevel: 'info' })) === 'written');
    },
  );

  test('on a link that nothing passes any more, what is asked fails in time, and it works again when it does', async () => {
    const server = await ownServer('nats');
    const { proxy, url } = await proxied(server);
    const view = await openView(url, { leaseMs: LEASE_MS });
    await view.sessions.create(recordOf('s'));
    proxy.blackHole(true);
    expect(await failsWithin(() => view.sessions.read('s'))).toBeLessThan(BOUND_MS + SLACK_MS);
    const before = proxy.accepted;
    // The connection is given up, though nothing has ended it.
    await until(() => proxy.accepted > before, { timeoutMs: 15_000 });
    proxy.blackHole(false);
    await until(() => view.sessions.read('s'), { timeoutMs: 10_000 });
  });

  test('cut off, a write that was under way fails, and what is asked next waits for the new connection', async () => {
    const server = await ownServer('nats');
    const { proxy, url } = await proxied(server);
    const view = await openView(url, { leaseMs: LEASE_MS });
    await view.sessions.create(recordOf('s'));
    // A write asks for the clock first where that is not known.
    await view.sessions.read('s');
    for (let n = 0; n < 10; n++) {
      const before = proxy.accepted;
      proxy.delay(50);
      const underWay = expect(view.sessions.save('s', FENCE, { activeAt: n })).rejects.toMatchObject(AWAY);
      const reading = view.sessions.read('s');
      await new Promise((done) => setTimeout(done, 5));
      proxy.cutAll();
      proxy.delay(0);
      await underWay;
      expect(await reading).toBeDefined();
      expect(await view.sessions.save('s', FENCE, { activeAt: 100 + n })).toBe('written');
      expect(((await view.sessions.read('s')) as SessionRecord).activeAt).toBe(100 + n);
      expect(proxy.accepted).toBeGreaterThan(before);
    }
  });

  test('a lost connection is told to the instance, and what renews after it is heard', async () => {
    const server = await ownServer('nats');
    const { proxy, url } = await proxied(server);
    const [here, there] = [await openView(url), await openView(server.url)];
    let lost = 0;
    const heard: string[] = [];
    await here.instances.announce(
      { id: ME, state: 'serving', version: '1' },
      (_, { kind }) => heard.push(kind),
      () => (lost += 1),
    );
    expect(await there.instances.send('other', ME, { kind: 'before' })).toBe('sent');
    await until(() => heard.length === 1);
    proxy.cutAll();
    await until(() => lost > 0);
    await until(() => here.instances.renew(ME, 'serving'));
    expect(await there.instances.send('other', ME, { kind: 'after' })).toBe('sent');
    await until(() => heard.length === 2);
    expect(heard).toEqual(['before', 'after']);
  });

  test('restarted without its data, sessions and leases are missing and nothing breaks', async () => {
    const server = await ownServer('nats');
    const view = await openView(server.url, { leaseMs: LEASE_MS });
    let lost = 0;
    await view.instances.announce(
      { id: ME, state: 'serving', version: '1' },
      () => undefined,
      () => (lost += 1),
    );
    await view.sessions.create(recordOf('s'));
    await view.events.append({ sessionId: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    await server.killed();
    rmSync(join(server.folder, 'jetstream'), { recursive: true });
    await server.start();
    await until(async () => (await view.sessions.read('s')) === undefined);
    expect(lost).toBeGreaterThan(0);
    expect(await view.instances.renew(ME, 'serving')).toBe(false);
    expect(await view.sessions.claim('s', FENCE, ME)).toEqual({ claimed: false, current: undefined });
    expect(await view.sessions.save('s', FENCE, {})).toBe('fenced');
    expect(await view.events.append({ sessionId: 's', fence: FENCE, stream: 'p', from: 1, events: ['2'] })).toBe(
      'fenced',
    );
    await view.instances.announce({ id: 'next', state: 'serving', version: '1' }, () => undefined);
    expect(await view.instances.send('next', 'next', { kind: 'own' })).toBe('sent');
    expect(await view.sessions.create(recordOf('s'))).toBe('created');
  });

  test('the connection of a caller is used as it is, and is still open afterwards', async () => {
    const server = await ownServer('nats');
    const connection = await connectTo(server.url);
    const view = await nats(connection).open(storeOptions());
    expect(await view.sessions.create(recordOf('s'))).toBe('created');
    await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    await view.close();
    expect(connection.isClosed()).toBe(false);
    await connection.flush();
    const other = await openView(nats(connection));
    expect(await other.sessions.read('s')).toEqual(recordOf('s'));
  });

  test('a connection that its caller closes is a store that is away, with what to do', async () => {
    const server = await ownServer('nats');
    const connection = await connectTo(server.url);
    const view = await openView(nats(connection));
    await view.sessions.create(recordOf('s'));
    await connection.close();
    await until(async () => (await failsWithin(() => view.sessions.read('s'))) < 100);
    await expect(view.sessions.read('s')).rejects.toMatchObject({
      message: expect.stringMatching(/keep it open/) as string,
    });
  });
});
