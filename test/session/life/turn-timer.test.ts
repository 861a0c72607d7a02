import { expect, test } from 'vitest';
import { TurnTimer } from '../../../src/session/life/turn-timer.ts';
import { createFakeTime } from '../../../src/testing/index.ts';

const LIMIT_MS = 1_000;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function started() {
  const time = createFakeTime();
  let due = 0;
  const timer = new TurnTimer(time, LIMIT_MS, () => void (due += 1));
  return { time, timer, due: () => due };
}

test('work that ends in its turn sets no timer', async () => {
  const { time, timer, due } = started();
  await Promise.resolve();
  timer.release();
  await nextTurn();
  expect(time.pendingTimers).toBe(0);
  await time.advance(LIMIT_MS);
  expect(due()).toBe(0);
});

test('the time of longer work counts from the end of its turn', async () => {
  const { time, due } = started();
  expect(time.pendingTimers).toBe(0);
  await nextTurn();
  await time.advance(LIMIT_MS - 1);
  expect(due()).toBe(0);
  await time.advance(1);
  expect(due()).toBe(1);
});

test('work that ends in a later turn clears its timer', async () => {
  const { time, timer, due } = started();
  await nextTurn();
  expect(time.pendingTimers).toBe(1);
  timer.release();
  expect(time.pendingTimers).toBe(0);
  await time.advance(LIMIT_MS);
  expect(due()).toBe(0);
});

test('where the clock throws, the time is over at once', async () => {
  let due = 0;
  const time = {
    setTimeout: (): never => {
      throw new Error('no clock');
    },
    clearTimeout: () => {},
  };
  new TurnTimer(time, LIMIT_MS, () => void (due += 1));
  await nextTurn();
  expect(due).toBe(1);
});
