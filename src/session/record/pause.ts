/** Retries of writes that the store did not take. Callers bound them by `maxWaitMs`, or by the life of the session. */
import { SojournError } from '../../base/errors.ts';
import { backoffMs, elapse } from '../../base/system.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';

const FIRST_PAUSE_MS = 20;
/** A store that is back is noticed within this time. */
const LONGEST_PAUSE_MS = 200;

/** The pause before the next try of one write. */
export function pause(time: Pick<TimeProvider, 'setTimeout'>, tries: number): Promise<void> {
  return elapse(time, backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS));
}

export interface StoreWait {
  readonly time: Required<TimeProvider>;
  readonly maxWaitMs: number;
  /** Whether to stop, because the session left or the client disconnected. */
  stopped(): boolean;
}

/** Settles as `work` does. While the store is away, `work` is retried for at most `maxWaitMs`; then its error is thrown. */
export async function whileAway<T>(
  { time, maxWaitMs, stopped }: StoreWait,
  work: () => MaybePromise<T>,
): Promise<T> {
  const until = time.monotonic() + maxWaitMs;
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (cause) {
      if (!isStoreAway(cause) || time.monotonic() >= until || stopped()) throw cause;
    }
    await pause(time, tries);
  }
}

export function isStoreAway(cause: unknown): boolean {
  return cause instanceof SojournError && cause.code === 'STORE_UNAVAILABLE';
}
