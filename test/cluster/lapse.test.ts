/** An instance with many sessions loses its lease on a distant store. Every session is served again soon afterwards. */
import { expect, onTestFinished, test } from 'vitest';
import { redis } from '../../src/stores/redis/index.ts';
import { createFaultProxy, type RawClient } from '../../src/testing/index.ts';
import { serveMember } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

const LEASE_MS = 2_500;
/** In one direction. */
const DELAY_MS = 5;
/** Claimed one after the other they take 6 s, more than two leases. */
const SESSIONS = 600;
/** Sessions that get a request as soon as the store is back. */
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
      const { endpoint, log, client } = await serveMember({
        store,
        name: 'many',
        leaseMs: LEASE_MS,
      });
      const clients = await open(() => client({ sockets: 1 }), SESSIONS);
      proxy.delay(DELAY_MS);
      const claimed = new Set<string>();
      endpoint.sessions.events.on('restored', ({ sessionId, cause }) => cause === 'reclaim' && claimed.add(sessionId));

      proxy.refuse(true);
      proxy.cutAll();
      await until(() => log.matching(/^The lease ran out/).length > 0, { timeoutMs: 4 * LEASE_MS });
      expect(endpoint.health().state).toBe('lapsed');
      proxy.refuse(false);
      // The store reconnects some time after that: see `test/stores`.
      await until(() => endpoint.health().state === 'serving', { what: 'a new lease', timeoutMs: 4 * LEASE_MS });
      const began = performance.now();
      const lapses = log.matching(/^The lease ran out/).length;
      // The last sessions of the queue.
      const asked = clients.slice(-ASKED);
      const answers = await Promise.all(asked.map((one) => one.call(...tool('count'))));
      expect(answers.map(({ message }) => textOf(message))).toEqual(asked.map(() => '1'));
      expect(performance.now() - began).toBeLessThan(LEASE_MS);
      await until(() => claimed.size === SESSIONS, { what: 'every session to be claimed', timeoutMs: 4 * LEASE_MS });
      expect(endpoint.health()).toMatchObject({ state: 'serving', store: 'ok', sessions: SESSIONS });
      const renewals = (): number => store.calls.filter(({ call }) => call === 'instances.renew').length;
      const before = renewals();
      await until(() => renewals() > before + 3, { what: 'a lease', timeoutMs: 4 * LEASE_MS });
      expect(log.matching(/^The lease ran out/)).toHaveLength(lapses);
      expect(endpoint.health().state).toBe('serving');
    },
  );
});
