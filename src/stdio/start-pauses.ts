/**
 * A program that ends at its start, before it answers anything, is not started again at each call:
 *
 *     ends in a row   1 to 3  4    5    6    7 and more
 *     pause after it  none    1 s  2 s  4 s  8 s
 *
 * In a pause the calls of the same caller are refused with how the last child ended. Other callers have other variables
 * and other handshakes, so they have pauses of their own.
 */
import { BoundedMap } from '../base/bounded-map.ts';
import { monotonicMs } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';
import { ChildEnded } from './child.ts';

/** What ends once or twice may start the next time. */
const FREE = 3;
const FIRST_MS = 1_000;
const LONGEST_MS = 8_000;
/** An end that is older does not count. */
const FORGOTTEN_MS = 60_000;
const MOST_CALLERS = 1_000;

interface Ends {
  readonly times: number;
  readonly last: ChildEnded;
  readonly at: number;
  /** The end of the pause. */
  readonly until: number;
}

export class StartPauses {
  readonly #time: TimeProvider;
  /** In the order of their last ends. */
  readonly #callers = new BoundedMap<string, Ends>(MOST_CALLERS);

  constructor(time: TimeProvider) {
    this.#time = time;
  }

  get #now(): number {
    return monotonicMs(this.#time);
  }

  /** Throws in a pause. */
  check(owner: string): void {
    const { times, last, until } = this.#callers.get(owner) ?? { times: 0, until: 0 };
    const ms = until - this.#now;
    if (last === undefined || ms <= 0) return;
    const what = `${last.message} at its start, ${times} times in a row: it is started again in ${Math.ceil(ms / 1_000)} s`;
    throw new ChildEnded(what, last.stderr);
  }

  /** A child of this caller ended before it answered. */
  ended(owner: string, last: ChildEnded): void {
    const now = this.#now;
    const before = this.#callers.get(owner);
    // It started before the pause began.
    if (before !== undefined && before.until > now) return;
    const isRecent = before !== undefined && before.at > now - FORGOTTEN_MS;
    const times = isRecent ? before.times + 1 : 1;
    const pauseMs = times <= FREE ? 0 : Math.min(FIRST_MS * 2 ** (times - FREE - 1), LONGEST_MS);
    this.#callers.set(owner, { times, last, at: now, until: now + pauseMs });
  }

  /** A child of this caller works. */
  answered(owner: string): void {
    this.#callers.delete(owner);
  }
}
