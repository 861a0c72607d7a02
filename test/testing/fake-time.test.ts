import { describe, expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';

describe('fake time', () => {
  test('runs due timers in the order of their times, each at its own time', async () => {
    const time = createFakeTime(0);
    const ran: Array<[string, number]> = [];
    const at = (name: string, ms: number) =>
      time.setTimeout(() => ran.push([name, time.now()]), ms);
    at('late', 30);
    at('early', 10);
    at('first of two', 20);
    at('second of two', 20);
    at('not due', 31);
    await time.advance(30);
    expect(ran).toEqual([
      ['early', 10],
      ['first of two', 20],
      ['second of two', 20],
      ['late', 30],
    ]);
    expect(time.pendingTimers).toBe(1);
  });

  test.each([
    [10, 35, [10, 20, 30]],
    // A timer of no length runs after the moment that set it.
    [0, 3, [1, 2, 3]],
    [Number.NaN, 3, [1, 2, 3]],
  ])(
    'a timer that a timer sets in %i ms runs in the same advance when it is due',
    async (ms, all, times) => {
      const time = createFakeTime(0);
      const ran: number[] = [];
      const again = (): void => {
        ran.push(time.now());
        time.setTimeout(again, ms);
      };
      time.setTimeout(again, ms);
      await time.advance(all);
      expect(ran).toEqual(times);
      expect(time.now()).toBe(all);
    },
  );

  test('what a timer starts settles before the next timer runs', async () => {
    const time = createFakeTime(0);
    const order: string[] = [];
    time.setTimeout(() => {
      void (async () => {
        await Promise.resolve();
        order.push('microtask');
        await new Promise((done) => setImmediate(done));
        order.push('turn');
      })();
    }, 10);
    time.setTimeout(() => order.push('next timer'), 11);
    await time.advance(20);
    expect(order).toEqual(['microtask', 'turn', 'next timer']);
  });

  test('calls of advance queue up', async () => {
    const time = createFakeTime(0);
    const seen: number[] = [];
    time.setTimeout(() => seen.push(time.now()), 15);
    await Promise.all([time.advance(10), time.advance(10)]);
    expect(seen).toEqual([15]);
    expect(time.now()).toBe(20);
  });

  test('advance rejects with what a timer threw, and continues the next time', async () => {
    const time = createFakeTime(0);
    time.setTimeout(() => {
      throw new Error('from the timer');
    }, 5);
    await expect(time.advance(10)).rejects.toThrow('from the timer');
    await time.advance(10);
    expect(time.now()).toBe(15);
  });

  test.each([-1, Number.NaN, Infinity])('advance refuses %s', (ms) => {
    expect(() => createFakeTime().advance(ms)).toThrow(RangeError);
  });
});
