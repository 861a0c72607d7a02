import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { serveMember, type Member } from '../kit/fleet.ts';
import { onHost } from '../kit/host-name.ts';
import { later, movingTime } from '../kit/moving-time.ts';
import { durableKinds, sharedStore, useSharedStores } from '../kit/shared-stores.ts';

/** What the first event of a new session's GET stream says. */
async function retryOf(member: Member): Promise<number | undefined> {
  const client = member.client();
  await client.initialize();
  const stream = await client.get();
  const { retry } = await stream.next();
  stream.abort();
  return retry;
}

const LEASE_MS = 30_000;
const OPTIONS: McpEndpointOptions = { retryMs: 4_321, fleetRetryMs: 1_234, leaseMs: LEASE_MS };

useSharedStores();

describe.each(durableKinds)('on %s', (kind) => {
  const fleet = () => {
    const [store, timeProvider] = [sharedStore(kind), movingTime()];
    const join = (host: string) => onHost(host, () => serveMember({ ...OPTIONS, timeProvider, store: store() }));
    return { join, time: timeProvider };
  };

  test('B111 clients come back after fleetRetryMs while an instance on another host serves, else after retryMs', async () => {
    const { join, time } = fleet();
    const a = await join('a');
    expect(await retryOf(a)).toBe(4_321);
    const b = await join('b');
    expect(await retryOf(b)).toBe(1_234);
    // Each renewal reads the other leases.
    await later(time, async () => (await retryOf(a)) === 1_234, 'the first host to know of the second');
    await b.endpoint.close();
    await later(time, async () => (await retryOf(a)) === 4_321, 'the first host to be alone');
  });

  test('instances on one host end together, so it stays retryMs', async () => {
    const { join } = fleet();
    await join('a');
    expect(await retryOf(await join('a'))).toBe(4_321);
  });
});

test('without fleetRetryMs it stays retryMs', async () => {
  const store = sharedStore('sqlite');
  const join = (host: string) => onHost(host, () => serveMember({ leaseMs: LEASE_MS, store: store() }));
  await join('a');
  expect(await retryOf(await join('b'))).toBe(4_000);
});
