import { rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connectTo, FENCE, ME, openView, recordOf, storeOptions } from './nats-views.ts';
import { outageCases } from './outage-cases.ts';
import {
  asked,
  AWAY,
  BOUND_MS,
  failsAtOnce,
  failsWithin,
  frozen,
  LEASE_MS,
  ownServer,
  proxied,
  SLACK_MS,
} from './outages.ts';
import { openPlain } from './views.ts';

describeWhereInstalled('nats', 'while NATS is away', () => {
  outageCases({
    kind: 'nats',
    keepsData: [],
    where: (port) => `NATS at 127.0.0.1:${port}`,
    store: nats,
    openView,
    loseData: ({ folder }) => rmSync(join(folder, 'jetstream'), { recursive: true }),
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

  test('in a longer outage everything fails at once', async () => {
    const server = await ownServer('nats');
    const view = await openView(server.url);
    await view.records.create(recordOf('s'));
    await server.killed();
    await until(() => failsAtOnce(() => view.records.read('s')));
    for (const [name, ask] of Object.entries(asked(view))) expect(await failsAtOnce(ask), name).toBe(true);
  });

  test(
    'frozen, the store accepts only so many bytes of events, and refuses the rest at once',
    { timeout: 120_000 },
    async () => {
      const server = await ownServer('nats');
      const view = await openView(server.url, { leaseMs: 60_000 });
      await view.records.create(recordOf('s'));
      await frozen(server);
      const data = JSON.stringify('x'.repeat(10_000));
      let [waiting, most] = [0, 0];
      const refusals: unknown[] = [];
      const settled: Promise<unknown>[] = [];
      for (let from = 0; from < 20_000; from++) {
        const append = { id: 's', fence: FENCE, stream: 'p', from, events: [data] };
        const answer = (async () => view.records.append(append))();
        waiting += 1;
        settled.push(answer.catch((error: unknown) => refusals.push(error)).finally(() => (waiting -= 1)));
        if (from % 100 !== 0) continue;
        await new Promise((done) => setImmediate(done));
        most = Math.max(most, waiting);
      }
      // 64 MiB are some 6,100 of them. On a busy machine the first ones reach their deadline in the loop.
      expect(most).toBeGreaterThan(5_000);
      expect(most).toBeLessThan(7_000);
      const message: unknown = expect.stringMatching(/further messages are refused/);
      expect(refusals).toContainEqual(expect.objectContaining({ ...AWAY, message }));
      server.resume();
      await Promise.all(settled);
      await until(async () => (await view.records.save('s', FENCE, { head: 'info' })) === 'written');
    },
  );

  test('cut off, a write that was under way fails, and what is asked next waits for the new connection', async () => {
    const server = await ownServer('nats');
    const { proxy, url } = await proxied(server);
    // No limit passes: neither for an answer, nor for the new connection.
    const view = await openView(url, { time: createFakeTime() });
    await view.records.create(recordOf('s'));
    // A write asks for the clock first where that is not known.
    await view.records.read('s');
    for (let n = 0; n < 10; n++) {
      const before = proxy.accepted;
      proxy.delay(50);
      const underWay = expect(view.records.save('s', FENCE, { stamp: n })).rejects.toMatchObject(AWAY);
      const reading = view.records.read('s');
      await new Promise((done) => setTimeout(done, 5));
      proxy.cutAll();
      proxy.delay(0);
      await underWay;
      expect(await reading).toBeDefined();
      expect(await view.records.save('s', FENCE, { stamp: 100 + n })).toBe('written');
      expect(((await view.records.read('s')) as StoredRecord).stamp).toBe(100 + n);
      expect(proxy.accepted).toBeGreaterThan(before);
    }
  });

  test('a lost connection is reported to the instance, and messages arrive after the next renewal', async () => {
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

  test('the connection of a caller is used as it is, and is still open afterwards', async () => {
    const server = await ownServer('nats');
    const connection = await connectTo(server.url);
    const view = await openPlain(nats(connection), storeOptions());
    expect(await view.records.create(recordOf('s'))).toBe('created');
    await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    await view.close();
    expect(connection.isClosed()).toBe(false);
    await connection.flush();
    const other = await openView(nats(connection));
    expect(await other.records.read('s')).toEqual(recordOf('s'));
  });

  test('a connection that its caller closes is a store that is away, with what to do', async () => {
    const server = await ownServer('nats');
    const connection = await connectTo(server.url);
    const view = await openView(nats(connection));
    await view.records.create(recordOf('s'));
    await connection.close();
    await until(() => failsAtOnce(() => view.records.read('s')));
    await expect(view.records.read('s')).rejects.toMatchObject({
      message: expect.stringMatching(/keep it open/) as string,
    });
  });
});
