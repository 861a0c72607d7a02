/**
 * The system's clock, which a test can move ahead. So leases and limits may be long, and a busy machine exceeds none of
 * them: a test that needs one to be over moves the clock.
 */
import { systemTime } from '../../src/base/system.ts';
import type { TimeProvider } from '../../src/types.ts';

export interface SkippingTime extends Required<TimeProvider> {
  /** Moves the clock ahead. Timers that are due by then run now, in the order of their times. */
  skip(ms: number): void;
}

interface Timer {
  readonly at: number;
  readonly fn: () => void;
  handle?: unknown;
}

export function createSkippingTime(): SkippingTime {
  const timers = new Set<Timer>();
  let skipped = 0;
  const monotonic = (): number => systemTime.monotonic() + skipped;
  const run = (timer: Timer): void => {
    if (!timers.delete(timer)) return;
    systemTime.clearTimeout(timer.handle);
    timer.fn();
  };
  return {
    now: () => systemTime.now() + skipped,
    monotonic,
    setTimeout(fn, ms) {
      const timer: Timer = { at: monotonic() + ms, fn };
      timer.handle = systemTime.setTimeout(() => run(timer), ms);
      timers.add(timer);
      return timer;
    },
    clearTimeout(handle) {
      const timer = handle as Timer | undefined;
      if (timer === undefined || !timers.delete(timer)) return;
      systemTime.clearTimeout(timer.handle);
    },
    skip(ms) {
      skipped += ms;
      const due = [...timers].filter(({ at }) => at <= monotonic());
      for (const timer of due.sort((a, b) => a.at - b.at)) run(timer);
    },
  };
}
