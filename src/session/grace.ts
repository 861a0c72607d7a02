/**
 * The end of a session waits for the user's code, but only for a time: code that hangs must not delay other sessions.
 */
import { within } from '../options/system.ts';
import type { TimeProvider } from '../types.ts';

/** Below the 5 s within which an endpoint closes (B66 in docs/reference/behaviour.md). */
export const GRACE_MS = 4_000;

/** `false`: `work` took longer than `ms`, and continues. Rejects as `work` does. */
export function inTime(time: TimeProvider, work: Promise<unknown>, ms = GRACE_MS): Promise<boolean> {
  return within(
    time,
    ms,
    work.then(() => true),
    () => false,
  );
}
