/** Fake time whose date can be set back, as an administrator or NTP does. */
import { createFakeTime } from '../../src/testing/index.ts';
import type { TimeProvider } from '../../src/types.ts';

export interface SettableClock {
  readonly time: TimeProvider;
  /** A negative time sets the date back; timers and the monotonic clock do not notice. */
  pass(ms: number): Promise<void>;
}

export function settableClock(startMs: number): SettableClock {
  const { now, monotonic, setTimeout, clearTimeout, advance } = createFakeTime(startMs);
  let backMs = 0;
  return {
    time: { now: () => now() - backMs, monotonic, setTimeout, clearTimeout },
    async pass(ms) {
      if (ms < 0) backMs -= ms;
      else await advance(ms);
    },
  };
}
