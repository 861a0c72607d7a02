/**
 * Waits until another process releases the file. SQLite's own waiting would block the event loop.
 *
 * A writer holds the file for a fraction of a millisecond, so the first tries follow turn by turn. Later tries use
 * timers with jitter, so that two processes do not collide again. After BUSY_LIMIT_MS the store counts as away.
 */
import { afterTurn, backoffMs, elapse, keepingProcess, monotonicMs } from '../../base/system.ts';
import { storeUnavailable } from '../../base/errors.ts';
import type { StoreOptions } from '../store.ts';
import { isBusy, storeFailure } from './failures.ts';

/** Less than the default lease of 3 s: an instance that cannot write must know before its lease runs out. */
export const BUSY_LIMIT_MS = 2_000;

/** An idle turn takes some 10 µs, about as long as a group commit of another process. */
const TURNS = 8;
/** A process that waits for longer than others write is idle while the file is free. */
const LONGEST_WAIT_MS = 2;

/** What the waits of a file are made of. */
export type Waits = Pick<StoreOptions, 'time' | 'random'>;

/** Retries until `work` succeeds or the file has been locked for BUSY_LIMIT_MS. */
export async function retry<T>(work: () => T, path: string, { time, random }: Waits): Promise<T> {
  let since: number | undefined;
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error)) throw storeFailure(path, error);
      since ??= monotonicMs(time);
      if (monotonicMs(time) - since >= BUSY_LIMIT_MS)
        throw storeUnavailable(
          `${path} has been locked by another process for ${BUSY_LIMIT_MS} ms; find out which process (a shell, a ` +
            'backup, a copy), or whether its disk does not answer',
        );
    }
    // The provider's timers do not keep the process alive, but this write must not be lost when the process exits.
    if (tries <= TURNS) await new Promise<void>(afterTurn);
    else
      await keepingProcess(() =>
        elapse(time, backoffMs(tries - TURNS, 1, LONGEST_WAIT_MS, random)),
      );
  }
}
