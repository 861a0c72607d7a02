import { expect, test } from 'vitest';
import { ServerClock } from '../../../src/stores/kernel/server-clock.ts';
import { createFakeTime } from '../../../src/testing/index.ts';

test('the clock of a server is asked once in five seconds, and is never ahead of it', async () => {
  const time = createFakeTime();
  let asked = 0;
  const server = (): number => time.monotonic() + 1_000;
  const clock = new ServerClock({
    time,
    ask: async () => {
      asked += 1;
      const now = server();
      await time.advance(20);
      return now;
    },
  });
  const [first, second] = await Promise.all([clock.now(), clock.now()]);
  expect([first, second, asked]).toEqual([server() - 20, server() - 20, 1]);
  await time.advance(4_000);
  expect([clock.now(), asked]).toEqual([server() - 20, 1]);
  await time.advance(1_000);
  await clock.now();
  expect([clock.now(), asked]).toEqual([server() - 20, 2]);
  clock.forget();
  await clock.now();
  expect(asked).toBe(3);
});

test('a server that does not answer is asked again by the next call', async () => {
  let fails = true;
  const ask = async (): Promise<number> => {
    if (fails) throw new Error('away');
    return 5;
  };
  const clock = new ServerClock({ time: createFakeTime(), ask });
  await expect(clock.now()).rejects.toThrow('away');
  fails = false;
  expect(await clock.now()).toBe(5);
});

test('a question whose answer no caller waits for may fail', async () => {
  const ask = async (): Promise<number> => {
    throw new Error('away');
  };
  const clock = new ServerClock({ time: createFakeTime(), ask });
  expect(clock.now()).toBeInstanceOf(Promise);
  // Node reports a rejection without a handler at the end of the turn, and Vitest counts it as a failure.
  await new Promise((done) => setImmediate(done));
});

test('a machine that was suspended asks again, also where an answer waited in that time', async () => {
  const fake = createFakeTime();
  let suspendedMs = 0;
  let asked = 0;
  // While a machine is suspended its monotonic clock stops.
  const time = { ...fake, now: (): number => fake.now() + suspendedMs };
  const clock = new ServerClock({
    time,
    ask: async () => {
      const now = time.now();
      if (asked++ === 1) suspendedMs += 2_000;
      return now;
    },
  });
  expect([await clock.now(), asked]).toEqual([time.now(), 1]);
  suspendedMs += 2_000;
  expect([await clock.now(), asked]).toEqual([time.now(), 3]);
  expect([clock.now(), asked]).toEqual([time.now(), 3]);
});

test('a process that was frozen while an answer waited asks again', async () => {
  const time = createFakeTime();
  let asked = 0;
  const clock = new ServerClock({
    time,
    ask: async () => {
      const now = time.now();
      if (asked++ === 0) await time.advance(2_600);
      return now;
    },
  });
  expect([await clock.now(), asked]).toEqual([time.now(), 2]);
});
