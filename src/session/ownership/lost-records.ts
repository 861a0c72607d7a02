/**
 * Reports sessions whose data the store has lost while they were live here: at once, and then once a minute with their
 * number. A store that lost data loses many sessions together.
 */
import type { Logger, TimeProvider } from '../../types.ts';

export const DATA_LOSS_CAUSES =
  'evicted keys, FLUSHALL, TRUNCATE or a purge, a restored backup, a restart without persistence';

const PAUSE_MS = 60_000;

export class LostRecords {
  readonly #logger: Logger;
  readonly #time: Required<TimeProvider>;
  #sessions = 0;
  #reportedAt = -Infinity;

  constructor(logger: Logger, time: Required<TimeProvider>) {
    this.#logger = logger;
    this.#time = time;
  }

  note(): void {
    this.#sessions += 1;
    this.report();
  }

  /** The sweep calls it. `last`: there is no later call. */
  report(last = false): void {
    const now = this.#time.monotonic();
    if (this.#sessions === 0 || (!last && now - this.#reportedAt < PAUSE_MS)) return;
    this.#logger.fatal(
      { sessions: this.#sessions },
      'The store has lost sessions that are live here, or a part of them: their clients get 404 and must open new ones. ' +
        `Usual causes: ${DATA_LOSS_CAUSES}`,
    );
    this.#sessions = 0;
    this.#reportedAt = now;
  }
}
