/**
 * How `sojourn serve` ends:
 *
 *     running ──SIGTERM or SIGINT──▶ draining ──the drain is done──▶ exit 0
 *                                        └──second signal──▶ exit 1
 *
 * Running requests have the drain timeout to finish. Until they have, or another instance serves, this one serves new
 * requests and sessions too (`finishAlone` in `endpoint/shutdown.ts`). A second signal loses the running requests:
 * their clients see the connection break. A signal before `listen` resolves ends the process at once.
 */
import type { Logger } from '../base/types.ts';
import { EXIT, reason } from './failure.ts';

export const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;
type StopSignal = (typeof STOP_SIGNALS)[number];

/** With `npm start`, one Ctrl+C arrives twice: from the terminal and from npm. No person presses it twice this fast. */
const SAME_KEYSTROKE_MS = 100;

export interface SignalSource {
  on(signal: StopSignal | 'SIGHUP', listener: () => void): unknown;
  off(signal: StopSignal, listener: () => void): unknown;
  emit(signal: 'SIGTERM'): unknown;
}

export interface Stoppable {
  /** Drains, then closes. Rejects when that fails. */
  finish(signal: StopSignal): Promise<void>;
  /** Called when a second signal ends the drain early. */
  interrupted(signal: StopSignal): void;
}

/** Resolves with the exit code when the drain that a signal started has ended. */
export function untilStopped(
  source: SignalSource,
  logger: Pick<Logger, 'error'>,
  server: Stoppable,
  now = () => performance.now(),
): Promise<number> {
  return new Promise((resolve) => {
    let first: { readonly signal: StopSignal; readonly at: number } | undefined;
    const stop = (signal: StopSignal): void => {
      if (first === undefined) {
        first = { signal, at: now() };
        server.finish(signal).then(
          () => end(EXIT.ok),
          (error: unknown) => {
            logger.error({ err: error }, `the shutdown failed: ${reason(error)}`);
            end(EXIT.failed);
          },
        );
      } else if (
        signal !== 'SIGINT' ||
        first.signal !== 'SIGINT' ||
        now() - first.at > SAME_KEYSTROKE_MS
      ) {
        server.interrupted(signal);
        end(EXIT.failed);
      }
    };
    const listeners = STOP_SIGNALS.map((signal) => ({ signal, listener: () => stop(signal) }));
    const end = (code: number): void => {
      for (const { signal, listener } of listeners) source.off(signal, listener);
      resolve(code);
    };
    for (const { signal, listener } of listeners) source.on(signal, listener);
  });
}
