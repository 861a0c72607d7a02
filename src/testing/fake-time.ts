/**
 * A clock that moves only when the test moves it. Due timers run in the order of their times, one at a time. Work that
 * a timer starts can settle before the next timer runs.
 */
import { afterTurn } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';

export interface FakeTime extends TimeProvider {
  monotonic(): number;
  /**
   * Moves the clock by `ms`. Resolves when every timer due by then has run; rejects with what a timer threw. Calls
   * queue up.
   */
  advance(ms: number): Promise<void>;
  /** Timers that have not run and were not cleared. */
  readonly pendingTimers: number;
}

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** Neither 0 nor now, so that a missing time and a time of the system's clock can be seen. */
const DEFAULT_START_MS = Date.UTC(2026, 0, 1);

/** A timer never runs in the moment that set it, so that a loop of timers advances. */
const SHORTEST_MS = 1;

/**
 * Turns of the event loop between two timers: one for the work that a timer started, one for the work that this
 * started.
 */
const TURNS = 2;

export function createFakeTime(startMs: number = DEFAULT_START_MS): FakeTime {
  const timers = new Set<Timer>();
  let now = startMs;
  let moving: Promise<void> = Promise.resolve();

  /** A set keeps the order in which timers were set. Those that are due together run in that order. */
  const nextDue = (until: number): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers) {
      if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
    }
    return next;
  };

  const move = async (ms: number): Promise<void> => {
    const until = now + ms;
    await settle();
    for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
      timers.delete(timer);
      now = timer.at;
      timer.fn();
      await settle();
    }
    now = until;
    await settle();
  };

  return {
    now: () => now,
    monotonic: () => now - startMs,
    setTimeout: (fn, ms) => {
      const timer: Timer = { at: now + (ms > SHORTEST_MS ? ms : SHORTEST_MS), fn };
      timers.add(timer);
      return timer;
    },
    clearTimeout: (handle) => {
      timers.delete(handle as Timer);
    },
    advance: (ms) => {
      if (!(ms >= 0 && ms < Infinity))
        throw new RangeError(`advance: got ${ms}, takes milliseconds, 0 or more`);
      const moved = moving.then(() => move(ms));
      moving = moved.catch(() => undefined);
      return moved;
    },
    get pendingTimers() {
      return timers.size;
    },
  };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise<void>((done) => afterTurn(done));
}
