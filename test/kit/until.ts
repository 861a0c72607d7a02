/** Waits for a condition, never for a time. */
import { endpointsNow, longestWaitMs, waitsFor } from './endpoints-now.ts';
import { until as untilTimeout, type UntilOptions } from '../../src/testing/until.ts';

export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<T> {
  const { what = condition.toString() } = options;
  try {
    const given = { timeoutMs: longestWaitMs(), ...options };
    return await waitsFor(what, untilTimeout(condition, given));
  } catch (failure) {
    const { message, cause } = failure as Error;
    throw new Error([message, endpointsNow()].join('\n'), { cause });
  }
}

/** So many turns of the event loop. */
export async function turns(count = 1): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((next) => setImmediate(next));
}
