/** A timer that repeats itself. */
import { expect, test } from 'vitest';
import { every } from '../../src/base/system.ts';
import { createFakeTime } from '../../src/testing/fake-time.ts';

test('its work may stop it', async () => {
  const time = createFakeTime();
  let calls = 0;
  const stop = every(time, 10, () => {
    calls += 1;
    stop();
  });
  await time.advance(100);
  expect(calls).toBe(1);
});
