/**
 * The end of a session waits for the user's code, but only for a time: code that hangs must not delay other sessions.
 */
import type { TimeProvider } from '../../types.ts';
import { TurnTimer } from './turn-timer.ts';

/** Below the 5 s within which an endpoint closes (B66 in docs/reference/behaviour.md). */
export const GRACE_MS = 4_000;

/** `false`: `work` took longer than `ms`, and continues. Rejects as `work` does. */
export function inTime(time: TimeProvider, work: Promise<unknown>, ms = GRACE_MS): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = new TurnTimer(time, ms, () => resolve(false));
    work.then(
      () => {
        timer.release();
        resolve(true);
      },
      (cause: unknown) => {
        timer.release();
        reject(cause);
      },
    );
  });
}
