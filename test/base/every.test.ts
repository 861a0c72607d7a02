/** A timer that repeats itself. */
import { expect, test } from 'vitest';
import { every } from '../../src/base/system.ts';
import { createFakeTime } from '../../src/testing/fake-time.ts';

test('it calls its work again after each interval, until it is stopped', async () => {
  const time = createFakeTime();
  let calls = 0;
  const stop = every(time, 10, () => (calls += 1));
  await time.advance(9);
  expect(calls).toBe(0);
  await time.advance(21);
  expect(calls).toBe(3);
  stop();
  await time.advance(100);
  expect(calls).toBe(3);
});

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
