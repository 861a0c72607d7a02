/** What the Compose recipe puts together: nginx as its page has it, in front of three processes on one Redis. */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import { answersGoOn, keepCalling } from '../../kit/calling.ts';
import { toolCall } from '../../kit/lab.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { connectNegotiating, connectV1, connectV2 } from '../../clients/official.ts';
import { describeWhereInstalled, startServer, type TestServer } from '../../kit/servers/index.ts';
import { until } from '../../kit/until.ts';
import { startFleet, type DeployedInstance, type Fleet } from './instances.ts';
import { describeBehindNginx, ROUND_ROBIN, startNginx, type Proxy } from './nginx.ts';
import { openClient } from '../../kit/listening.ts';

const raw = (url: string, of?: RawClient): RawClient => openClient(url, { of });

describeBehindNginx('round robin through nginx', () => {
  describeWhereInstalled('redis', 'in front of three instances on Redis', () => {
    let redis: TestServer;
    let fleet: Fleet;
    let proxy: Proxy;
    beforeAll(async () => {
      redis = await startServer('redis', {
        args: ['--appendonly', 'yes', '--appendfsync', 'everysec'],
      });
      fleet = await startFleet(3, redis.url);
      proxy = await startNginx(ROUND_ROBIN, fleet.ports);
    });
    // The log says which instance answered 503.
    beforeEach(() => onTestFailed(() => console.log(proxy.output())));
    afterAll(async () => {
      await proxy?.close();
      await fleet?.close();
      await redis?.close();
    });

    test('any instance serves any request of any session', async () => {
      const { url } = proxy;
      const clients = [
        await connectV1(url),
        await connectV2(url),
        await connectV1(url),
        await connectV2(url),
      ];
      for (const client of clients) {
        const owners = new Set<string>();
        const ways = new Set<string>();
        for (let calls = 1; calls <= 9; calls++) {
          expect(await client.say('count')).toBe(String(calls));
          const [owner = '', way = ''] = (await client.say('way')).split(' ');
          owners.add(owner);
          ways.add(way);
        }
        // It lives in one process; its calls arrive at others too.
        expect([owners.size, [...ways].toSorted()]).toEqual([1, ['direct', 'relayed']]);
      }
      const modern = await connectNegotiating(url);
      expect([modern.protocolVersion(), await modern.say('length', { text: 'abc' })]).toEqual([
        '2026-07-28',
        '3',
      ]);
    });

    test('events pass as they come', async () => {
      const { url } = proxy;
      const client = await connectV2(url, {
        elicit: () => ({ action: 'accept', content: { name: 'Ada' } }),
      });
      await client.listening;
      await client.say('ring');
      await until(() => client.notifications('notifications/message').length === 1, {
        what: 'the message on the GET',
      });
      expect(await client.say('ask')).toMatch(/^Ada \d+$/);
      // The first event of a call is there while the call runs: it waits for another call to end it.
      const seen: number[] = [];
      const waiting = client.say(
        'wait',
        {},
        { onprogress: ({ progress }) => void seen.push(progress) },
      );
      await until(() => seen.length === 1, { what: 'the progress' });
      await client.say('go');
      expect(await waiting).toBe('gone on');
    });

    test('a stream that broke continues through any instance', async () => {
      const { url } = proxy;
      const client = raw(url);
      await client.initialize({ protocolVersion: '2025-11-25' });
      const call = await client.post(toolCall('w', 'wait', {}, { progressToken: 1 }));
      await call.next();
      const progress = await call.next();
      call.abort();
      const resumed = await raw(url, client).get({ lastEventId: progress.id });
      expect(resumed.status).toBe(200);
      await raw(url, client).call('tools/call', { name: 'go', arguments: {} });
      const messages = (await resumed.untilEnd()).flatMap(({ message }) => message ?? []);
      expect(messages).toMatchObject([{ id: 'w', result: { content: [{ text: 'gone on' }] } }]);
    });

    // The instances are lost from here on.
    test('no call fails, and none is counted twice, while every instance is restarted', async () => {
      const clients = [await connectV1(proxy.url), await connectV2(proxy.url)];
      const callers = clients.map(({ say }) =>
        keepCalling(async (n) => expect(await say('count')).toBe(String(n + 1))),
      );
      for (const instance of fleet.instances) {
        expect(await instance.stop()).toBe(0);
        await answersGoOn(callers);
        await instance.start();
      }
      await Promise.all(callers.map(({ stop }) => stop()));
      expect(callers.flatMap(({ failures }) => failures)).toEqual([]);
    });

    test('the sessions of an instance that is killed continue, and a single remaining instance serves all', async () => {
      const clients = await Promise.all([connectV1(proxy.url), connectV2(proxy.url)]);
      for (const client of clients) expect(await client.say('count')).toBe('1');
      const [victim, other] = fleet.instances as [DeployedInstance, DeployedInstance];
      await victim.kill();
      for (const client of clients) {
        for (const count of ['2', '3', '4']) expect(await client.say('count')).toBe(count);
      }
      expect(await other.stop()).toBe(0);
      for (const client of clients) expect(await client.say('count')).toBe('5');
      expect(await (await connectV2(proxy.url)).say('count')).toBe('1');
    });
  });
});
