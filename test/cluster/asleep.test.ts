/**
 * A machine that slept: its wall clock is past the end of the lease, its timers have not run. The first request finds
 * the lease expired, makes the instance take it again at once, and waits for that.
 */
import { expect, test } from 'vitest';
import { systemTime } from '../../src/base/system.ts';
import { serveMember } from '../kit/fleet.ts';
import { say, textOf, tool } from '../kit/lab.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

/** The next renewal by itself comes after 40 s: far longer than this client waits. */
const LEASE_MS = 120_000;
const SLEPT_MS = 600_000;

test.each(['sqlite', 'memory'] as const)('on %s the first call after a sleep is served', async (kind) => {
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
});
