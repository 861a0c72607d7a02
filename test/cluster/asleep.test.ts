/**
 * A machine that slept: its wall clock is past the end of the lease, its timers have not run. The first request finds
 * the lease expired, makes the instance take it again at once, and waits for that.
 */
import { expect, test } from 'vitest';
import { systemTime } from '../../src/base/system.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveMember } from '../kit/fleet.ts';
import { say, textOf, tool } from '../kit/lab.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { watchedStore } from '../kit/watched-store.ts';

useSharedStores();

/** The next renewal by itself comes after 40 s: far longer than this client waits. */
const LEASE_MS = 120_000;
const SLEPT_MS = 600_000;

test.each(['sqlite', 'memory'] as const)(
  'on %s the first call after a sleep is served',
  async (kind) => {
    let slept = 0;
    const timeProvider = { ...systemTime, now: () => systemTime.now() + slept };
    const options = { store: sharedStore(kind)(), leaseMs: LEASE_MS, timeProvider };
    const { client: connect, endpoint, log } = await serveMember(options);
    const client = connect({ timeoutMs: 10_000 });
    await client.initialize();
    expect(await say(client, 'count')).toBe('1');
    const { instance } = endpoint.health();

    slept = SLEPT_MS;
    const calls = await Promise.all([client.call(...tool('count')), client.call(...tool('count'))]);
    expect(calls.map(({ message }) => textOf(message))).toEqual(['2', '3']);
    expect(endpoint.health().state).toBe('serving');
    // The store of one process needs no lease.
    expect(endpoint.health().instance === instance).toBe(kind === 'memory');
    expect(log.matching(/^The lease ran out/)).toHaveLength(kind === 'memory' ? 0 : 1);
  },
);

test('a renewal that is so late that the lease nearly expired is logged', async () => {
  const time = createFakeTime();
  let skipped = 0;
  const late = {
    ...time,
    now: () => time.now() + skipped,
    monotonic: () => (time.monotonic ?? time.now)() + skipped,
  };
  const store = watchedStore({ durable: true });
  const { log } = await serveMember({ store, timeProvider: late, leaseMs: 3_000 });
  await time.advance(5_000);
  expect(log.matching(/event loop was blocked/)).toEqual([]);
  // The clock advances while no timer runs.
  skipped += 1_500;
  await time.advance(1_000);
  expect(
    log.matching(/event loop was blocked/, 'warn').map(({ fields }) => fields['leaseMs']),
  ).toEqual([3_000]);
});
