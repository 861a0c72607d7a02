/**
 * Fake time whose date can be set back, as an administrator or NTP does. Its timers are those of the system: a store
 * that waits for the lock of another connection tries again by itself, while the case waits for its write.
 */
import { systemTime } from '../../src/base/system.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { TimeProvider } from '../../src/types.ts';

export interface SettableClock {
  readonly time: TimeProvider;
  /** A negative time sets the date back; timers and the monotonic clock do not notice. */
  pass(ms: number): Promise<void>;
}

export function settableClock(startMs: number): SettableClock {
  const { now, monotonic, advance } = createFakeTime(startMs);
  const { setTimeout, clearTimeout } = systemTime;
  let backMs = 0;
  return {
    time: { now: () => now() - backMs, monotonic, setTimeout, clearTimeout },
    async pass(ms) {
      if (ms < 0) backMs -= ms;
      else await advance(ms);
    },
  };
}
