import { describe, expect, test } from 'vitest';
import { KeepAlive, type KeepAliveTarget } from '../../src/http/keep-alive.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const INTERVAL_MS = 15_000;

function stream(): KeepAliveTarget & { count: number } {
  return {
    slot: -1,
    count: 0,
    keepAlive() {
      this.count += 1;
    },
  };
}

describe('keep-alive', () => {
  test('reaches every one of many streams once per interval, a part of them at a time', async () => {
    const time = createFakeTime();
    const keepAlive = new KeepAlive(time, INTERVAL_MS);
    const many = Array.from({ length: 150 }, stream);
    for (const one of many) keepAlive.add(one);
    await time.advance(INTERVAL_MS);
    const before = many.map(({ count }) => count);
    let most = 0;
    for (let tick = 0; tick < 15; tick++) {
      const sum = many.reduce((total, { count }) => total + count, 0);
      await time.advance(INTERVAL_MS / 15);
      most = Math.max(most, many.reduce((total, { count }) => total + count, 0) - sum);
    }
    expect(many.map(({ count }, n) => count - (before[n] ?? 0))).toEqual(many.map(() => 1));
    expect(most).toBe(10);
    keepAlive.stop();
  });

  test('ends with its stream, and its timer with the last one', async () => {
    const time = createFakeTime();
    const keepAlive = new KeepAlive(time, INTERVAL_MS);
    const [gone, there] = [stream(), stream()];
    keepAlive.add(gone);
    keepAlive.add(there);
    expect(time.pendingTimers).toBe(1);
    keepAlive.remove(gone);
    keepAlive.remove(gone);
    await time.advance(INTERVAL_MS);
    expect([gone.count, there.count]).toEqual([0, 1]);
    keepAlive.remove(there);
    expect(time.pendingTimers).toBe(0);
    keepAlive.add(there);
    await time.advance(INTERVAL_MS);
    expect(there.count).toBe(2);
    keepAlive.remove(there);
    expect(time.pendingTimers).toBe(0);
  });

  test('may be ended by what it calls', async () => {
    const time = createFakeTime();
    const keepAlive = new KeepAlive(time, INTERVAL_MS);
    const many = Array.from({ length: 40 }, (): KeepAliveTarget => {
      const one: KeepAliveTarget = { slot: -1, keepAlive: () => keepAlive.remove(one) };
      return one;
    });
    for (const one of many) keepAlive.add(one);
    await time.advance(INTERVAL_MS * 2);
    expect(time.pendingTimers).toBe(0);
  });

  test.each([1, 5, 14])('with an interval of %d ms every stream is still reached', async (intervalMs) => {
    const time = createFakeTime();
    const keepAlive = new KeepAlive(time, intervalMs);
    const one = stream();
    keepAlive.add(one);
    await time.advance(30);
    expect(one.count).toBeGreaterThan(0);
    keepAlive.stop();
  });
});
