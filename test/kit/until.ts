/** Waits for a condition, never for a time. */
import { until as untilTimeout, type UntilOptions } from '../../src/testing/until.ts';

/** Shorter than a test may take, so that a failure names its condition, and long for a machine with other work. */
const TIMEOUT_MS = 40_000;

export const until = <T>(condition: () => T | Promise<T>, options: UntilOptions = {}): Promise<T> =>
  untilTimeout(condition, { timeoutMs: TIMEOUT_MS, ...options });

/** So many turns of the event loop. */
export async function turns(count = 1): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((next) => setImmediate(next));
}
