/**
 * A fake clock that moves while this process runs. A pause of the process is no time, so no lease runs out in one.
 * Tests move it further with `advance`.
 */
import { onTestFinished } from 'vitest';
import { createFakeTime, type FakeTime } from '../../src/testing/index.ts';

const STEP_MS = 10;

/** Call it before the endpoints that use it are made: it moves until they are closed. */
export function movingTime(startMs?: number): FakeTime {
  const time = createFakeTime(startMs);
  let isMoving = false;
  const timer = setInterval(() => {
    if (isMoving) return;
    isMoving = true;
    void time.advance(STEP_MS).finally(() => (isMoving = false));
  }, STEP_MS);
  onTestFinished(() => clearInterval(timer));
  return time;
}
