import { expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveMember } from '../kit/fleet.ts';
import { watchedStore } from '../kit/watched-store.ts';

test('a renewal that is so late that the lease nearly expired is logged', async () => {
  const time = createFakeTime();
  let skipped = 0;
  const late = { ...time, now: () => time.now() + skipped, monotonic: () => (time.monotonic ?? time.now)() + skipped };
  const store = watchedStore({ durable: true, inProcess: false });
  const { log } = await serveMember({ store, timeProvider: late, leaseMs: 3_000 });
  await time.advance(5_000);
  expect(log.matching(/event loop was blocked/)).toEqual([]);
  // The clock advances while no timer runs.
  skipped += 1_500;
  await time.advance(1_000);
  expect(log.matching(/event loop was blocked/, 'warn').map(({ fields }) => fields['leaseMs'])).toEqual([3_000]);
});
