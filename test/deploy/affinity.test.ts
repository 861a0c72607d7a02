// @module-tag matrix
/**
 * nginx, HAProxy and Envoy with affinity by `Mcp-Session-Id`, as the deployment page has it: it saves a hop, and
 * nothing depends on it.
 */
import { expect, onTestFinished, test } from 'vitest';
import { connectV1, connectV2, type OfficialClient } from '../clients/official.ts';
import { startFleet } from './instances.ts';
import { describeBehind, startProxy, type ProxyKind } from './proxies.ts';
import { standIn } from './stand-in.ts';

// Where each of them lands is chance for nginx: with so many, all at one place is none.
const CLIENTS = 12;
const CALLS = 6;

async function start(kind: ProxyKind, files: string[]) {
  const fleet = await startFleet(3);
  onTestFinished(() => fleet.close());
  const proxy = await startProxy(kind, files, fleet.ports);
  onTestFinished(() => proxy.close());
  const connect = (n: number) => (n % 2 === 0 ? connectV1 : connectV2)(proxy.url);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, n) => connect(n)));
  return { ...fleet, ...proxy, clients };
}

/** The process that runs the calls of a session, and how they reach it. */
async function ways(client: OfficialClient): Promise<{ owner: string; ways: string[] }> {
  const answers: string[][] = [];
  for (let calls = 0; calls < CALLS; calls++) answers.push((await client.say('where')).split(' '));
  const owners = [...new Set(answers.map(([owner]) => owner))];
  expect(owners).toHaveLength(1);
  return { owner: owners[0] ?? '', ways: [...new Set(answers.map(([, way]) => way ?? ''))] };
}

/**
 * A client's GET stream reconnects at once when its instance stops, and HAProxy may send it to another instance than
 * the client's next POST, before its check has found that the instance is down. The session then lives where the GET
 * arrived, and its POSTs are relayed until the next handover.
 */
function expectMostlyDirect(seen: ReadonlyArray<{ readonly ways: readonly string[] }>): void {
  const direct = seen.filter(({ ways: all }) => all.length === 1 && all[0] === 'direct');
  expect(direct.length).toBeGreaterThan(CLIENTS / 2);
}

describeBehind('haproxy', 'affinity through HAProxy', () => {
  const files = ['haproxy/haproxy.cfg', 'haproxy/backend-affinity.cfg'];

  test('every request of a session goes to the instance that opened it, from the first on', async () => {
    const { clients } = await start('haproxy', files);
    const seen = await Promise.all(clients.map(ways));
    for (const { ways: all } of seen) expect(all).toEqual(['direct']);
    // Sessions are spread.
    expect(new Set(seen.map(({ owner }) => owner)).size).toBe(3);
  });

  test('when that one is gone it goes to another, and stays there', { timeout: 60_000 }, async () => {
    const { clients, instances } = await start('haproxy', files);
    const before = await Promise.all(clients.map(ways));
    for (const instance of instances) {
      expect(await instance.stop()).toBe(0);
      // No call fails, the first one included.
      const seen = [];
      for (const client of clients) seen.push(await ways(client));
      expectMostlyDirect(seen);
      await instance.start();
    }
    const after = await Promise.all(clients.map(ways));
    const owners = new Set(before.map(({ owner }) => owner));
    expectMostlyDirect(after);
    for (const { owner } of after) expect(owners.has(owner)).toBe(false);
  });
});

describeBehind('nginx', 'affinity through nginx', () => {
  const files = ['nginx/mcp.conf', 'nginx/upstream-affinity.conf'];

  test('every request of a session arrives at one instance; those that have no session yet are spread', async () => {
    const { clients, arrivals } = await start('nginx', files);
    const owners = (await Promise.all(clients.map(ways))).map(({ owner }) => owner);
    expect(new Set(owners).size).toBeGreaterThan(1);
    const addresses = clients.map(({ sessionId }) => {
      const all = arrivals(String(sessionId));
      expect(all.length).toBeGreaterThan(CALLS);
      expect(new Set(all).size).toBe(1);
      return all[0];
    });
    expect(new Set(addresses).size).toBeGreaterThan(1);
  });

  test(
    'a session that was opened elsewhere is served there from its next handover on',
    { timeout: 60_000 },
    async () => {
      const { clients, instances, arrivals, ports } = await start('nginx', files);
      const relayed: OfficialClient[] = [];
      for (const client of clients) if ((await ways(client)).ways[0] === 'relayed') relayed.push(client);
      expect(relayed.length).toBeGreaterThan(0);
      const [client] = relayed as [OfficialClient];
      // Its owner is one of the two where its requests do not arrive.
      const [arrival] = arrivals(String(client.sessionId));
      for (const [n, instance] of instances.entries()) {
        if (arrival === `127.0.0.1:${ports[n]}`) continue;
        expect(await instance.stop()).toBe(0);
        await instance.start();
      }
      expect((await ways(client)).ways).toEqual(['direct']);
    },
  );
});

describeBehind('envoy', 'affinity through Envoy', () => {
  test.each([
    ['RING_HASH', 1],
    ['ROUND_ROBIN', 3],
  ])('with lb_policy %s the requests of a session reach %i of three instances', async (policy, reached) => {
    const named = (name: string) => standIn((_request, response) => response.end(name));
    const ports = [await named('a'), await named('b'), await named('c')];
    const edit = (text: string) => text.replace('lb_policy: ROUND_ROBIN', `lb_policy: ${policy}`);
    const { url, close } = await startProxy('envoy', ['envoy/envoy.yaml'], ports, { edit });
    onTestFinished(close);
    const ask = async (headers: Record<string, string>) => (await fetch(url, { headers })).text();
    const all = new Set<string>();
    for (let n = 0; n < CLIENTS; n++) {
      const own = new Set<string>();
      for (let calls = 0; calls < 9; calls++) own.add(await ask({ 'mcp-session-id': `session-${n}` }));
      expect(own.size).toBe(reached);
      own.forEach((name) => all.add(name));
    }
    expect(all.size).toBeGreaterThan(1);
    // Requests without a session are spread.
    const without = await Promise.all(Array.from({ length: 30 }, () => ask({})));
    expect(new Set(without).size).toBeGreaterThan(1);
  });
});
