/**
 * Places that wait to start a child, and whose turn it is.
 *
 *     waiting ──there is room, and few children start──▶ entered
 *        ├──no call wants the child any more──▶ dropped: nothing starts
 *        ├──no child of all was idle for `maxWaitMs`──▶ refused: CHILDREN_BUSY
 *        └──others started first for `startWaitMs`──▶ refused: CHILDREN_STARTING
 *
 * The next turn is that of the caller with the fewest children that start, and of the place of that caller that waits
 * longest.
 */
import { monotonicMs } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';
import type { Place } from './place.ts';

/**
 * What a place finds. `making`: a child stops for it. `soon`: a child is idle and may not stop yet, or starts are before
 * it. `busy`: neither.
 */
export type Turn = 'entered' | 'making' | 'soon' | 'busy';

/** Who gives the turns. */
export interface Turns {
  readonly options: {
    readonly maxWaitMs: number;
    readonly startWaitMs: number;
    readonly time: TimeProvider;
  };
  /** Children of this caller that start. */
  startsOf(owner: string): number;
  /** The first of a round of turns. */
  beginRound(): void;
  turnOf(place: Place): Turn;
  /** Why the place does not get a child. */
  refusalOf(place: Place, isBusy: boolean): Error;
}

interface Waiter {
  readonly place: Place;
  readonly since: number;
  /** What it found last. */
  found: Turn;
  /** For so long it has found `busy`. */
  busyMs: number;
  /** `cause`: it is refused. */
  settle(cause?: Error): void;
}

/** The time for which a child is kept ends without a notice. */
const LOOK_MS = 100;

export class StartQueue {
  readonly #turns: Turns;
  /**
   * The keys are callers, in no order. The starts of a caller are in the order of their arrival.
   */
  readonly #callers = new Map<string, Set<Waiter>>();
  #isLooking = false;
  #lookedAt = 0;
  #timer: unknown = undefined;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  get size(): number {
    let size = 0;
    for (const waiters of this.#callers.values()) size += waiters.size;
    return size;
  }

  sizeOf(owner: string): number {
    return this.#callers.get(owner)?.size ?? 0;
  }

  /** Resolves when a child of the place may start. When `signal` aborts it rejects, and starts nothing. */
  wait(place: Place, signal: AbortSignal): Promise<void> {
    const { owner } = place.tenant;
    return new Promise((resolve, reject) => {
      const leave = (): void => waiter.settle(signal.reason as Error);
      const waiter: Waiter = {
        place,
        since: this.#now,
        found: 'soon',
        busyMs: 0,
        settle: (cause) => {
          signal.removeEventListener('abort', leave);
          const others = this.#callers.get(owner);
          others?.delete(waiter);
          if (others?.size === 0) this.#callers.delete(owner);
          if (cause === undefined) resolve();
          else reject(cause);
        },
      };
      if (signal.aborted) return leave();
      signal.addEventListener('abort', leave, { once: true });
      this.#callers.set(owner, (this.#callers.get(owner) ?? new Set()).add(waiter));
      this.look();
    });
  }

  get #now(): number {
    return monotonicMs(this.#turns.options.time);
  }

  /** One round: each caller has turns until one finds that it must wait. */
  look(): void {
    // A turn may end the wait of a run, which frees its room.
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      this.#round();
    } finally {
      this.#isLooking = false;
    }
  }

  #round(): void {
    const [now, before] = [this.#now, this.#lookedAt];
    this.#lookedAt = now;
    const waiting = new Map<string, Waiter[]>();
    for (const [owner, all] of this.#callers) waiting.set(owner, [...all]);
    for (const waiter of [...waiting.values()].flat())
      if (waiter.found === 'busy') waiter.busyMs += now - Math.max(before, waiter.since);
    this.#turns.beginRound();
    while (waiting.size > 0) {
      const [owner, waiters] = this.#next(waiting);
      const [waiter] = waiters as [Waiter, ...Waiter[]];
      waiter.found = this.#turns.turnOf(waiter.place);
      // The others of this caller would find the same.
      const isOver = waiter.found === 'soon' || waiter.found === 'busy';
      if (isOver) for (const other of waiters) this.#found(other, waiter.found, now);
      else this.#found(waiter, waiter.found, now);
      waiters.shift();
      if (isOver || waiters.length === 0) waiting.delete(owner);
    }
    this.#lookAgain();
  }

  #next(waiting: ReadonlyMap<string, Waiter[]>): readonly [string, Waiter[]] {
    const rank = ([owner, [first]]: readonly [string, Waiter[]]) => ({
      starts: this.#turns.startsOf(owner),
      since: first?.since ?? 0,
    });
    return [...waiting].reduce((best, one) => {
      const [a, b] = [rank(best), rank(one)];
      return (b.starts - a.starts || b.since - a.since) < 0 ? one : best;
    });
  }

  #found(waiter: Waiter, found: Turn, now: number): void {
    const { maxWaitMs, startWaitMs } = this.#turns.options;
    const { place, since, busyMs } = waiter;
    waiter.found = found;
    if (found === 'entered') waiter.settle();
    else if (busyMs >= maxWaitMs || now - since >= startWaitMs)
      waiter.settle(this.#turns.refusalOf(place, busyMs >= maxWaitMs || found === 'busy'));
  }

  #lookAgain(): void {
    const { time } = this.#turns.options;
    if (this.#callers.size === 0 || this.#timer !== undefined) return;
    this.#timer = time.setTimeout(() => {
      this.#timer = undefined;
      this.look();
    }, LOOK_MS);
  }
}
