/** Which relayed calls read the record of their session. */
import { expect, test } from 'vitest';
import { storeUnavailable } from '../../../src/base/errors.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { textOf, tool } from '../../kit/lab.ts';
import { sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { until } from '../../kit/until.ts';
import { watchedStore, type WatchedStore } from '../../kit/watched-store.ts';

useSharedStores();

const CALLS = 20;
/** An owner counts as heard for a tenth of it. */
const LEASE_MS = 30_000;

test('calls that waited for the store are sent to the owner that the first of them found', async () => {
  const connect = sharedStore('sqlite');
  const stores = [0, 1].map(() => watchedStore({ durable: true, inner: connect() }));
  const ofB = stores[1] as WatchedStore;
  let next = 0;
  const options = { store: () => stores[next++] as WatchedStore, leaseMs: LEASE_MS };
  const [a, b] = await serveFleet(2, options);
  const onA = await a.openSession();
  let reads = 0;
  ofB.before['sessions.read'] = () => {
    reads += 1;
    throw storeUnavailable('the test says so');
  };
  const onB = b.join(onA);
  const calls = Array.from({ length: CALLS }, () => onB.call(...tool('hold')));
  await until(() => reads > 0);
  reads = 0;
  // A read takes longer than a message to the owner and back, as from a server of a store.
  ofB.before['sessions.read'] = async () => {
    reads += 1;
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  };
  await until(() => a.lab.holds.length === CALLS);
  for (const [n, held] of a.lab.holds.entries()) held.answer(String(n));
  const texts = (await Promise.all(calls)).map(({ message }) => textOf(message));
  expect(new Set(texts).size).toBe(CALLS);
  expect(reads).toBeLessThan(CALLS / 2);
});
