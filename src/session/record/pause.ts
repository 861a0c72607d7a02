/** Retries of writes that the store did not take. Callers bound them by `waitMs`, or by the life of the session. */
import { SojournError } from '../../errors.ts';
import { backoffMs, elapse } from '../../options/system.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { TimeProvider } from '../../types.ts';

const FIRST_PAUSE_MS = 20;
/** A store that is back is noticed within this time. */
const LONGEST_PAUSE_MS = 200;

/** The pause before the next try of one write. */
export function pause(time: Pick<TimeProvider, 'setTimeout'>, tries: number): Promise<void> {
  return elapse(time, backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS));
}

export interface StoreWait {
  readonly time: Required<TimeProvider>;
  readonly waitMs: number;
  /** Whether to stop, because the session left or the client disconnected. */
  stopped(): boolean;
}

/**
 * Settles as `work` does. While the store is away, `work` is retried for at most `waitMs`; then its error is thrown.
 * What `work` returns at once is returned at once. `again`: this is a retry.
 */
export function whileAway<T>(wait: StoreWait, work: (again: boolean) => MaybePromise<T>): MaybePromise<T> {
  const until = wait.time.monotonic() + wait.waitMs;
  const retry = (cause: unknown): Promise<T> => retried(wait, until, work, cause);
  try {
    const first = work(false);
    return first instanceof Promise ? first.catch(retry) : first;
  } catch (cause) {
    return retry(cause);
  }
}

async function retried<T>(
  { time, stopped }: StoreWait,
  until: number,
  work: (again: boolean) => MaybePromise<T>,
  first: unknown,
): Promise<T> {
  let cause = first;
  for (let tries = 0; ; tries++) {
    if (!isStoreAway(cause) || time.monotonic() >= until || stopped()) throw cause;
    await pause(time, tries);
    try {
      return await work(true);
    } catch (failure) {
      cause = failure;
    }
  }
}

export function isStoreAway(cause: unknown): boolean {
  return cause instanceof SojournError && cause.code === 'STORE_AWAY';
}
