/** Waits for a condition, never for a time. */
import { endpointsNow } from './endpoints-now.ts';
import { until as untilTimeout, type UntilOptions } from '../../src/testing/until.ts';

/** Half of what a test may take, so that a failure names its condition, and long for a machine with other work. */
const TIMEOUT_MS = 30_000;

export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<T> {
  try {
    return await untilTimeout(condition, { timeoutMs: TIMEOUT_MS, ...options });
  } catch (failure) {
    const { message, cause } = failure as Error;
    throw new Error([message, endpointsNow()].join('\n'), { cause });
  }
}

/** So many turns of the event loop. */
export async function turns(count = 1): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((next) => setImmediate(next));
}
