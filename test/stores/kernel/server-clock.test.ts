import { expect, test } from 'vitest';
import { ServerClock } from '../../../src/stores/kernel/server-clock.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import type { TimeProvider } from '../../../src/base/types.ts';

/** The server's clock beside that of this process. */
const AHEAD_MS = 1_000;

/** `onTheWay`: what happens while the answer of this number is on its way. */
function clockOf(time: TimeProvider, onTheWay: (answer: number) => unknown = () => undefined) {
  let asked = 0;
  const ask = async (): Promise<number> => {
    const now = time.now() + AHEAD_MS;
    await onTheWay((asked += 1));
    return now;
  };
  return { clock: new ServerClock({ time, ask }), asked: () => asked };
}

test('the clock of a server is asked once in five seconds, and is never ahead of it', async () => {
  const time = createFakeTime();
  const { clock, asked } = clockOf(time, () => time.advance(20));
  const [first, second] = await Promise.all([clock.now(), clock.now()]);
  expect([first, second, asked()]).toEqual([
    time.now() + AHEAD_MS - 20,
    time.now() + AHEAD_MS - 20,
    1,
  ]);
  await time.advance(4_000);
  expect([clock.now(), asked()]).toEqual([time.now() + AHEAD_MS - 20, 1]);
  await time.advance(1_000);
  await clock.now();
  expect([clock.now(), asked()]).toEqual([time.now() + AHEAD_MS - 20, 2]);
  clock.forget();
  await clock.now();
  expect(asked()).toBe(3);
});

test('a server that does not answer is asked again by the next call, and a call may not wait for the answer', async () => {
  const time = createFakeTime();
  const { clock } = clockOf(time, (answer) => {
    if (answer < 3) throw new Error('away');
  });
  expect(clock.now()).toBeInstanceOf(Promise);
  // Node reports a rejection without a handler at the end of the turn, and Vitest counts it as a failure.
  await new Promise((done) => setImmediate(done));
  await expect(clock.now()).rejects.toThrow('away');
  expect(await clock.now()).toBe(time.now() + AHEAD_MS);
});

test('a machine that was suspended asks again, also where an answer waited in that time', async () => {
  const fake = createFakeTime();
  let suspendedMs = 0;
  // While a machine is suspended its monotonic clock stops.
  const time = { ...fake, now: (): number => fake.now() + suspendedMs };
  const { clock, asked } = clockOf(time, (answer) => (suspendedMs += answer === 2 ? 2_000 : 0));
  expect([await clock.now(), asked()]).toEqual([time.now() + AHEAD_MS, 1]);
  suspendedMs += 2_000;
  expect([await clock.now(), asked()]).toEqual([time.now() + AHEAD_MS, 3]);
  expect([clock.now(), asked()]).toEqual([time.now() + AHEAD_MS, 3]);
});

test('a process that was frozen while an answer waited asks again', async () => {
  const time = createFakeTime();
  const { clock, asked } = clockOf(time, (answer) =>
    answer === 1 ? time.advance(2_600) : undefined,
  );
  expect([await clock.now(), asked()]).toEqual([time.now() + AHEAD_MS, 2]);
});
