/** The load balancers as the deployment page has them, in front of three processes that share a store. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, onTestFinished, test } from 'vitest';
import { createRawClient, type RawClient } from '../kit/raw-client.ts';
import { connectNegotiating, connectV1, connectV2, type OfficialClient } from '../clients/official.ts';
import { describeWhereInstalled, startServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { startFleet, type DeployedInstance, type Fleet } from './instances.ts';
import { describeBehind, isTested, ROUND_ROBIN, startProxy, type Proxy, type ProxyKind } from './proxies.ts';

function raw(url: string, of?: RawClient): RawClient {
  const client = createRawClient(url, { timeoutMs: 20_000 });
  onTestFinished(() => client.close());
  client.sessionId = of?.sessionId;
  client.protocolVersion = of?.protocolVersion;
  return client;
}

/** Between two calls. Calls without a pause take the CPU with which an instance starts. */
const CALL_PAUSE_MS = 10;

/** Calls one after the other, each counting one further, until told to stop. Resolves with how many there were. */
function counting(client: OfficialClient, through: ProxyKind) {
  let calls = 0;
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      const answer = await client.say('count').catch((error: unknown) => {
        throw new Error(`call ${calls + 1} through ${through}`, { cause: error });
      });
      expect([through, answer]).toEqual([through, String(++calls)]);
      await delay(CALL_PAUSE_MS);
    }
    return calls;
  })();
  done.catch(() => {});
  return {
    done,
    calls: () => calls,
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

/** No call may fail in that time, and none may be counted twice. */
async function restartOneByOne(proxies: ReadonlyMap<ProxyKind, Proxy>, { instances }: Fleet): Promise<void> {
  const counts: Array<ReturnType<typeof counting>> = [];
  for (const [kind, { url }] of proxies) {
    for (const connect of [connectV1, connectV2]) counts.push(counting(await connect(url), kind));
  }
  try {
    for (const instance of instances) {
      const before = counts.map(({ calls }) => calls());
      expect(await instance.stop()).toBe(0);
      const goneOn = until(() => counts.every(({ calls }, n) => calls() > (before[n] ?? 0) + 2), {
        what: 'calls to go on',
        timeoutMs: 15_000,
      });
      goneOn.catch(() => {});
      // A call that fails says why; that the others do not go on would not.
      await Promise.race([goneOn, ...counts.map(({ done }) => done)]);
      await instance.start();
    }
  } finally {
    await Promise.allSettled(counts.map(({ stop }) => stop()));
  }
  await Promise.all(counts.map(({ done }) => done));
}

const proxies = new Map<ProxyKind, Proxy>();
let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet(3);
  for (const [kind, files] of ROUND_ROBIN) {
    if (isTested(kind)) proxies.set(kind, await startProxy(kind, files, fleet.ports));
  }
});
// Whose answer a 503 was is in its log.
beforeEach(() => onTestFailed(() => proxies.forEach((proxy, kind) => console.log(kind, proxy.output()))));
afterAll(async () => {
  await Promise.all([...proxies.values()].map((proxy) => proxy.close()));
  await fleet?.close();
});

for (const [kind] of ROUND_ROBIN) {
  describeBehind(kind, `round robin through ${kind}`, () => {
    let proxy: Proxy;
    beforeAll(() => {
      proxy = proxies.get(kind) as Proxy;
    });

    test('any instance serves any request of any session', { timeout: 90_000 }, async () => {
      const { url } = proxy;
      const clients = [await connectV1(url), await connectV2(url), await connectV1(url), await connectV2(url)];
      for (const client of clients) {
        const owners = new Set<string>();
        const ways = new Set<string>();
        // A load balancer whose check of the owner was late sends it nothing for a while.
        const end = Date.now() + 15_000;
        for (let calls = 1; calls <= 9 || (ways.size < 2 && Date.now() < end); calls++) {
          expect(await client.say('count')).toBe(String(calls));
          const [owner = '', way = ''] = (await client.say('where')).split(' ');
          owners.add(owner);
          ways.add(way);
        }
        // It lives in one process; its calls arrive at others too.
        expect([owners.size, [...ways].toSorted()]).toEqual([1, ['direct', 'relayed']]);
      }
      const modern = await connectNegotiating(url);
      expect([modern.protocolVersion(), await modern.say('length', { text: 'abc' })]).toEqual(['2026-07-28', '3']);
    });

    test('events pass as they come', async () => {
      const { url } = proxy;
      const client = await connectV2(url, { elicit: () => ({ action: 'accept', content: { name: 'Ada' } }) });
      await client.listening;
      await client.say('ring');
      await until(() => client.notifications('notifications/message').length === 1, { what: 'the message on the GET' });
      expect(await client.say('ask')).toBe('Ada');
      // The first event of a call is there while the call runs: it waits for another call to end it.
      const seen: number[] = [];
      const waiting = client.say('wait', {}, { onprogress: ({ progress }) => void seen.push(progress) });
      await until(() => seen.length === 1, { what: 'the progress' });
      await client.say('go');
      expect(await waiting).toBe('gone on');
    });

    test('a stream that broke continues through any instance', async () => {
      const { url } = proxy;
      const client = raw(url);
      await client.initialize({ protocolVersion: '2025-11-25' });
      const call = await client.post({
        jsonrpc: '2.0',
        id: 'w',
        method: 'tools/call',
        params: { name: 'wait', arguments: {}, _meta: { progressToken: 1 } },
      });
      await call.next();
      const progress = await call.next();
      call.abort();
      const resumed = await raw(url, client).get({ lastEventId: progress.id });
      expect(resumed.status).toBe(200);
      await raw(url, client).call('tools/call', { name: 'go', arguments: {} });
      const messages = (await resumed.untilEnd()).flatMap(({ message }) => message ?? []);
      expect(messages).toMatchObject([{ id: 'w', result: { content: [{ text: 'gone on' }] } }]);
    });

    test('the largest body passes', async () => {
      const { url } = proxy;
      const client = await connectV2(url);
      const text = 'x'.repeat(4 * 1024 * 1024 - 300);
      expect(await client.say('length', { text })).toBe(String(text.length));
    });
  });
}

// Only then are instances lost.
describe('round robin through each of them', () => {
  test('no call fails while every instance is restarted', { timeout: 60_000 }, async () => {
    await restartOneByOne(proxies, fleet);
  });

  test('the sessions of an instance that is killed continue, and a single remaining instance serves all', async () => {
    const clients: OfficialClient[] = [];
    for (const { url } of proxies.values()) clients.push(...(await Promise.all([connectV1(url), connectV2(url)])));
    for (const client of clients) expect(await client.say('count')).toBe('1');
    const [victim, other] = fleet.instances as [DeployedInstance, DeployedInstance];
    await victim.kill();
    for (const client of clients) {
      for (const count of ['2', '3', '4']) expect(await client.say('count')).toBe(count);
    }
    expect(await other.stop()).toBe(0);
    for (const client of clients) expect(await client.say('count')).toBe('5');
    for (const { url } of proxies.values()) expect(await (await connectV2(url)).say('count')).toBe('1');
  });
});

describeBehind('nginx', 'what the Compose recipe puts together', () => {
  describeWhereInstalled('redis', 'three instances on Redis behind nginx', () => {
    test('no call fails while every instance is restarted', { timeout: 60_000 }, async () => {
      const redis = await startServer('redis', { args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });
      onTestFinished(() => redis.close());
      const onRedis = await startFleet(3, redis.url);
      onTestFinished(() => onRedis.close());
      const files = ['nginx/mcp.conf', 'nginx/upstream-round-robin.conf'];
      const nginx = await startProxy('nginx', files, onRedis.ports);
      onTestFinished(() => nginx.close());
      await restartOneByOne(new Map([['nginx', nginx]]), onRedis);
    });
  });
});
