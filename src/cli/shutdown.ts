/**
 * How a served endpoint ends. `running` until SIGTERM or SIGINT; then `draining`: no new work, running requests get the
 * drain timeout; then closed, exit 0. A second signal while draining ends at once, exit 1: what was running is lost, and
 * clients see their connection break. Signals before `listen` resolves end the process as Node does by itself.
 */
import { EXIT } from './failure.ts';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
export type StopSignal = (typeof SIGNALS)[number];

/** Ctrl+C under `npm start` arrives twice, from the terminal and from npm, at the same moment. No hand is that quick. */
const ONE_KEYSTROKE_MS = 100;

export interface SignalSource {
  on(signal: StopSignal, listener: () => void): unknown;
  off(signal: StopSignal, listener: () => void): unknown;
}

/** Calls `stop` with the first signal and `again` with the next. Returns what takes the listeners off. */
export function onStopSignals(
  source: SignalSource,
  now: () => number,
  stop: (signal: StopSignal) => void,
  again: (signal: StopSignal) => void,
): () => void {
  let first: { readonly signal: StopSignal; readonly at: number } | undefined;
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      if (first === undefined) {
        first = { signal, at: now() };
        stop(signal);
      } else if (signal !== 'SIGINT' || first.signal !== 'SIGINT' || now() - first.at > ONE_KEYSTROKE_MS) {
        again(signal);
      }
    };
    source.on(signal, listener);
    return { signal, listener };
  });
  return () => listeners.forEach(({ signal, listener }) => source.off(signal, listener));
}

export interface Stoppable {
  /** Drain, then close. Rejects when that failed. */
  finish(signal: StopSignal): Promise<void>;
  /** Told once, when a second signal cuts the drain short. */
  abandoned(signal: StopSignal): void;
  /** Told when `finish` failed. */
  failed(error: unknown): void;
}

/** Resolves with the exit code once a signal came and what it asked for is done. */
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
        server.abandoned(signal);
        end(EXIT.failed);
      },
    );
  });
}
