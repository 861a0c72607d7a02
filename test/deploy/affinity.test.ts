// @module-tag matrix
/** nginx with affinity by `Mcp-Session-Id`, as the deployment page has it: it saves a hop, and nothing depends on it. */
import { expect, onTestFinished, test } from 'vitest';
import { connectV1, connectV2, type OfficialClient } from '../clients/official.ts';
import { startFleet } from './instances.ts';
import { AFFINITY, behindNginx, describeBehindNginx } from './nginx.ts';

// nginx spreads clients by a hash of their ids: that all of so many reach one instance is no chance.
const CLIENTS = 12;
const CALLS = 6;

async function start() {
  const fleet = await startFleet(3);
  onTestFinished(() => fleet.close());
  const proxy = await behindNginx(AFFINITY, fleet.ports);
  const connect = (n: number) => (n % 2 === 0 ? connectV1 : connectV2)(proxy.url);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, n) => connect(n)));
  return { ...fleet, ...proxy, clients };
}

/** The process that runs the calls of a session, and how they reach it. */
async function ways(client: OfficialClient): Promise<{ owner: string; ways: string[] }> {
  const answers: string[][] = [];
  for (let calls = 0; calls < CALLS; calls++) answers.push((await client.say('way')).split(' '));
  const owners = [...new Set(answers.map(([owner]) => owner))];
  expect(owners).toHaveLength(1);
  return { owner: owners[0] ?? '', ways: [...new Set(answers.map(([, way]) => way ?? ''))] };
}

describeBehindNginx('affinity through nginx', () => {
  test('every request of a session arrives at one instance; those that have no session yet are spread', async () => {
    const { clients, arrivals } = await start();
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

  test('a session that was opened elsewhere is served there from its next handover on', async () => {
    const { clients, instances, arrivals, ports } = await start();
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
  });
});
