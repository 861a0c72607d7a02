/**
 * How `sojourn serve` ends:
 *
 *     running ──SIGTERM or SIGINT──▶ draining ──the drain is done──▶ exit 0
 *                                        └──second signal──▶ exit 1
 *
 * While it drains it takes no new work, and running requests have the drain timeout to finish. A second signal loses
 * the running requests: their clients see the connection break. A signal before `listen` resolves ends the process at
 * once.
 */
import { EXIT } from './failure.ts';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
export type StopSignal = (typeof SIGNALS)[number];

/** With `npm start`, one Ctrl+C arrives twice: from the terminal and from npm. No person presses it twice this fast. */
const SAME_KEYSTROKE_MS = 100;

export interface SignalSource {
  on(signal: StopSignal, listener: () => void): unknown;
  off(signal: StopSignal, listener: () => void): unknown;
}

/**
 * Calls `onFirst` with the first signal and `onSecond` with each later one. Returns a function that removes the
 * listeners.
 */
export function onStopSignals(
  source: SignalSource,
  now: () => number,
  onFirst: (signal: StopSignal) => void,
  onSecond: (signal: StopSignal) => void,
): () => void {
  let first: { readonly signal: StopSignal; readonly at: number } | undefined;
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      if (first === undefined) {
        first = { signal, at: now() };
        onFirst(signal);
      } else if (signal !== 'SIGINT' || first.signal !== 'SIGINT' || now() - first.at > SAME_KEYSTROKE_MS) {
        onSecond(signal);
      }
    };
    source.on(signal, listener);
    return { signal, listener };
  });
  return () => listeners.forEach(({ signal, listener }) => source.off(signal, listener));
}

export interface Stoppable {
  /** Drains, then closes. Rejects when that fails. */
  finish(signal: StopSignal): Promise<void>;
  /** Called when a second signal ends the drain early. */
  interrupted(signal: StopSignal): void;
  /** Called when `finish` failed. */
  failed(error: unknown): void;
}

/** Resolves with the exit code when the drain that a signal started has ended. */
export function untilStopped(source: SignalSource, now: () => number, server: Stoppable): Promise<number> {
  return new Promise((resolve) => {
    const end = (code: number): void => {
      off();
      resolve(code);
    };
    const off = onStopSignals(
      source,
      now,
      (signal) => {
        server.finish(signal).then(
          () => end(EXIT.ok),
          (error: unknown) => {
            server.failed(error);
            end(EXIT.failed);
          },
        );
      },
      (signal) => {
        server.interrupted(signal);
        end(EXIT.failed);
      },
    );
  });
}
