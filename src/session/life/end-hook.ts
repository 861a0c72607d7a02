/**
 * Calls `sessionMigrationHandler.onSessionEnded` in the background: a sweep, a DELETE and an `initialize` past the idle
 * limit do not wait for the user's code. A bounded number of calls run at once, because thousands of sessions may end
 * together; a call that does not return in time gives its place to the next one. Only the end of the endpoint waits for
 * the calls, and not for long.
 */
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { EndReason } from '../../base/types.ts';
import { within } from '../../base/system.ts';
import { type HookTimes, inHookTime, isHookTimeout } from '../../base/hook-time.ts';

/** The sweep ends as many at once: the hook of most users is one query of their database. */
const AT_ONCE = 16;

export type EndHookOptions = HookTimes & Pick<ResolvedOptions, 'sessionMigrationHandler'>;

export class EndHook {
  readonly #options: EndHookOptions;
  /** The sessions that ended, by their id and in the order of their ends. */
  readonly #waiting = new Map<string, EndReason>();
  #running = 0;
  #returned: (() => void) | undefined = undefined;

  constructor(options: EndHookOptions) {
    this.#options = options;
  }

  /** Call this when the store holds the end of the session. */
  ended(id: string, reason: EndReason): void {
    if (this.#options.sessionMigrationHandler?.onSessionEnded === undefined) return;
    this.#waiting.set(id, reason);
    if (this.#running < AT_ONCE) void this.#callWaiting();
  }

  /** Resolves when all calls have returned, or after `ms`; the log then has the number of calls that are missing. */
  async settled(ms: number): Promise<void> {
    if (this.#running === 0) return;
    const returned = new Promise<void>((resolve) => (this.#returned = resolve));
    await within(this.#options.timeProvider, ms, returned, () => {
      this.#options.logger.warn(
        { running: this.#running, waiting: this.#waiting.size },
        'sessionMigrationHandler.onSessionEnded was still running when the endpoint closed; calls that wait are dropped',
      );
      this.#waiting.clear();
    });
  }

  async #callWaiting(): Promise<void> {
    this.#running += 1;
    for (const [id, reason] of this.#waiting) {
      this.#waiting.delete(id);
      await this.#call(id, reason);
    }
    // In the turn in which nothing waits any more: an end that comes later finds a place.
    this.#running -= 1;
    if (this.#running === 0) this.#returned?.();
  }

  async #call(sessionId: string, reason: EndReason): Promise<void> {
    const { sessionMigrationHandler, logger } = this.#options;
    const call = async (): Promise<void> =>
      sessionMigrationHandler?.onSessionEnded?.(sessionId, reason);
    const hook = { hook: 'sessionMigrationHandler.onSessionEnded', sessionId };
    try {
      await inHookTime(this.#options, hook, call());
    } catch (err) {
      // A timeout is logged already.
      if (!isHookTimeout(err)) logger.warn({ err, sessionId, reason }, `${hook.hook} threw`);
    }
  }
}
