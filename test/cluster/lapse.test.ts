/** An instance with many sessions loses its lease on a distant store. Every session is served again soon afterwards. */
import { expect, onTestFinished, test } from 'vitest';
import { redis } from '../../src/stores/redis/index.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveMember } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
import { readScrape } from '../kit/prometheus.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { createSkippingTime } from '../kit/skipping-time.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

/** A busy machine loses none as long. */
const LEASE_MS = 10_000;
/** In one direction. */
const DELAY_MS = 10;
/** Claimed one after the other they take 12 s, more than a lease. */
const SESSIONS = 600;
/** Sessions that get a request while the store is away. */
const ASKED = 40;

async function open(client: () => RawClient, sessions: number): Promise<RawClient[]> {
  const clients = Array.from({ length: sessions }, client);
  const left = [...clients];
  const openNext = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await next.initialize();
  };
  await Promise.all(Array.from({ length: 10 }, openNext));
  return clients;
}

describeWithServer('redis', 'on Redis behind a slow link', (server) => {
  test(
    'an instance that lost its lease serves requested sessions at once, claims the rest beside them, and keeps its new lease',
    { timeout: 90_000 },
    async () => {
      const proxy = await createFaultProxy({ port: server().port });
      onTestFinished(() => proxy.close());
      const store = watchedStore({
        durable: true,
        inProcess: false,
        inner: redis(`redis://127.0.0.1:${proxy.port}`),
      });
      const time = createSkippingTime();
      const { endpoint, log, client } = await serveMember({
        store,
        name: 'many',
        leaseMs: LEASE_MS,
        timeProvider: time,
        metrics: true,
        waitMs: 60_000,
      });
      const calls = (name: string) => store.calls.filter(({ call }) => call === name).map(({ args }) => args[0]);
      const clients = await open(() => client({ sockets: 1, timeoutMs: 60_000 }), SESSIONS);
      proxy.delay(DELAY_MS);
      const claimed = new Set<string>();
      endpoint.sessions.events.on('restored', ({ sessionId, cause }) => cause === 'reclaim' && claimed.add(sessionId));

      proxy.refuse(true);
      proxy.cutAll();
      time.skip(LEASE_MS);
      await until(() => log.matching(/^The lease ran out/).length > 0);
      expect(endpoint.health().state).toBe('lapsed');
      // Opened last, so the last ones of the queue.
      const asked = clients.slice(0, ASKED);
      const answers = Promise.all(asked.map((one) => one.call(...tool('count'))));
      await until(() => readScrape(endpoint.metrics()).sum('sojourn_waiting_requests') === ASKED);
      proxy.refuse(false);
      await until(() => endpoint.health().state === 'serving', { what: 'a new lease' });
      const lapses = log.matching(/^The lease ran out/).length;
      expect((await answers).map(({ message }) => textOf(message))).toEqual(asked.map(() => '1'));
      expect(claimed.size).toBeLessThan(SESSIONS);
      const ids = new Set<unknown>(asked.map(({ sessionId }) => sessionId));
      expect(calls('sessions.claim').findLastIndex((id) => ids.has(id))).toBeLessThan(SESSIONS / 2);
      await until(() => claimed.size === SESSIONS, { what: 'every session to be claimed' });
      expect(endpoint.health()).toMatchObject({ state: 'serving', store: 'ok', sessions: SESSIONS });
      const renewed = calls('instances.renew').length + 3;
      const aWhile = async (): Promise<void> => {
        time.skip(LEASE_MS / 20);
        // What was asked before is answered by then: no pause of the machine is time in which nothing is renewed.
        await store.views[0]?.instances.read('no instance');
      };
      await until(async () => (await aWhile(), calls('instances.renew').length >= renewed), { what: 'three renewals' });
      expect(log.matching(/^The lease ran out/)).toHaveLength(lapses);
      expect(endpoint.health().state).toBe('serving');
    },
  );
});
