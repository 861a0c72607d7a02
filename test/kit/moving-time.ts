/**
 * A fake clock that moves while this process runs. A pause of the process is no time, so no lease runs out in one.
 * Tests move it, and other fake clocks, until something has happened.
 */
import { onTestFinished } from 'vitest';
import { createFakeTime, type FakeTime } from '../../src/testing/index.ts';
import { until } from './until.ts';

const STEP_MS = 10;
/** Far shorter than the 2 s in which a call to PostgreSQL must be answered, also while the clock moves so. */
const LONG_STEP_MS = 500;
const PAUSE_MS = 1;

/** Call it before the endpoints that use it are made: it moves until they are closed. */
export function movingTime(): FakeTime {
  const time = createFakeTime();
  let isMoving = false;
  const timer = setInterval(() => {
    if (isMoving) return;
    isMoving = true;
    void time.advance(STEP_MS).finally(() => (isMoving = false));
  }, STEP_MS);
  onTestFinished(() => clearInterval(timer));
  return time;
}

/** Moves the clock until then. An instance that reaches its store renews its lease between two steps. */
export function later(
  time: FakeTime,
  condition: () => boolean | Promise<boolean>,
  what = condition.toString(),
  stepMs = LONG_STEP_MS,
): Promise<boolean> {
  return until(async () => (await condition()) || (await time.advance(stepMs), false), {
    pollMs: PAUSE_MS,
    what,
  });
}

/** Moves the clock until the work is done. */
export async function passing<T>(time: FakeTime, work: Promise<T>, stepMs: number): Promise<T> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  work.then(over, over);
  await later(time, () => isOver, 'the end of the work', stepMs);
  return work;
}
