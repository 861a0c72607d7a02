/**
 * The time limit (`hookTimeoutMs`) of the user's code that a request or a restore waits for: the factory, the hooks,
 * and the server until it has answered its handshake.
 *
 *     called ──returns──▶ its result
 *        └──hookTimeoutMs──▶ HOOK_TIMEOUT: the hook's signal aborts, the log names the hook and the session
 *                               └──returns late──▶ the result is thrown away
 *
 * A hook that hangs would otherwise keep the claim of its session, and its place in `limits.sessions`.
 */
import { factoryFailed, hookTimeout, SojournError } from './errors.ts';
import type { ResolvedOptions } from './options/endpoint-options.ts';
import { within } from './system.ts';
import type { Logger } from './types.ts';

/**
 * How long the end of a session waits for code of the user: code that hangs must not delay other sessions. Below the
 * 5 s within which an endpoint closes (B66).
 */
export const GRACE_MS = 4_000;

export interface HookCall<T> {
  /** The name that the user knows. */
  readonly hook: string;
  readonly sessionId: string | undefined;
  /** Disposes of a result that arrived too late. */
  readonly late?: (result: T) => void;
  readonly timedOut?: (error: SojournError) => void;
  /** How long it has run already. */
  readonly begunMs?: number;
}

export type HookTimes = Pick<ResolvedOptions, 'hookTimeoutMs' | 'timeProvider'> & {
  readonly logger: Logger;
};

/** Settles as `work` does, or rejects with HOOK_TIMEOUT. */
export function inHookTime<T>(
  times: HookTimes,
  call: HookCall<T>,
  work: T | PromiseLike<T>,
): Promise<T> {
  const { hookTimeoutMs, timeProvider, logger } = times;
  const { hook, sessionId, begunMs = 0 } = call;
  const settled = Promise.resolve(work);
  if (hookTimeoutMs === Infinity) return settled;
  return within(timeProvider, hookTimeoutMs - begunMs, settled, () => {
    logger.warn(
      { hook, sessionId, hookTimeoutMs },
      `${hook} did not return within ${hookTimeoutMs} ms (hookTimeoutMs); a later result is ignored`,
    );
    void settled.then(
      (result) => call.late?.(result),
      (err: unknown) =>
        logger.debug({ err, hook, sessionId }, `${hook} failed after its time was over`),
    );
    const error = hookTimeout(hook, hookTimeoutMs);
    call.timedOut?.(error);
    throw error;
  });
}

/** Like `inHookTime`, for a hook that gets a signal. The signal aborts when `signal` does, or when the time is over. */
export function inHookTimeWith<T>(
  times: HookTimes,
  call: HookCall<T>,
  signal: AbortSignal,
  hook: (signal: AbortSignal) => T | PromiseLike<T>,
): Promise<T> {
  const controller = new AbortController();
  const work = (async () => hook(AbortSignal.any([signal, controller.signal])))();
  return inHookTime(times, { ...call, timedOut: (error) => controller.abort(error) }, work);
}

export function isHookTimeout(cause: unknown): cause is SojournError {
  return cause instanceof SojournError && cause.code === 'HOOK_TIMEOUT';
}

/** The error for a hook's failure: a timeout stays a timeout, and `wrap` wraps any other failure. */
export function orHookTimeout(
  cause: unknown,
  wrap: (cause: unknown) => SojournError,
): SojournError {
  return isHookTimeout(cause) ? cause : wrap(cause);
}

/** Throws the error for a failure of this hook. */
export function hookThrew(hook: string): (cause: unknown) => never {
  return (cause) => {
    throw orHookTimeout(cause, (err) => factoryFailed(`${hook} threw`, err));
  };
}
