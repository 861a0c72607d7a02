/**
 * Starts work that one turn of the event loop would start together: a few of each user in each turn, in order.
 *
 * * Calls whose writes a store answers in one turn, and calls that a client sends at once on the fetch face, which does
 *   not know their connection. If all of them started in that turn, the results of all handlers would exist at once,
 *   before the first is charged to the memory budget: 30 results of 8 MB fill a heap of 256 MB.
 * * Large bodies, of which each takes up to 90 ms to parse: requests of other users are served between two of them.
 * * Requests that come in a turn which is long already (`turn.ts`).
 */
import { AsyncResource } from 'node:async_hooks';
import { afterMicrotasks, afterTurn, systemTime } from '../base/system.ts';
import type { MaybePromise } from '../types.ts';
import { TURN_MS, turnIsLong } from './turn.ts';

/** For calls. More would hold more results at once. Fewer would make smaller groups of the writes that follow. */
const STARTS = 4;

interface Waiting {
  readonly client: Client | undefined;
  start(): void;
}

/** Whose start it is. It never starts when the client disconnects before its turn. */
interface Client {
  readonly closed: boolean;
}

export class StartsPerTurn {
  /** How many started in this turn. A turn follows while it has an entry. */
  readonly #started = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #most: number;
  /** When this turn began, a time of the monotonic clock. */
  #began = 0;

  /** `most`: how many of each user start in a turn. */
  constructor(most = STARTS) {
    this.#most = most;
  }

  /** Whether a further start of this user waits. */
  mustWait(user: string): boolean {
    return this.#waiting.has(user) || (this.#started.get(user) ?? 0) >= this.#most || turnIsLong();
  }

  run<T>(user: string, start: () => MaybePromise<T>, client?: Client): MaybePromise<T> {
    if (this.mustWait(user)) return this.later(user, start, client);
    this.#count(user);
    return start();
  }

  #count(user: string): void {
    if (this.#started.size === 0 && this.#waiting.size === 0) afterTurn(this.#nextTurn);
    this.#started.set(user, (this.#started.get(user) ?? 0) + 1);
  }

  /** Starts it in a later turn. */
  later<T>(user: string, start: () => MaybePromise<T>, client?: Client): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#started.size === 0 && this.#waiting.size === 0) afterTurn(this.#nextTurn);
      const waiting = this.#waiting.get(user) ?? [];
      this.#waiting.set(user, waiting);
      // The turn belongs to the request that began it, and has what the application keeps for that one.
      const inContext = AsyncResource.bind(() => {
        try {
          resolve(start());
        } catch (cause) {
          reject(cause);
        }
      });
      waiting.push({ client, start: inContext });
    });
  }

  readonly #nextTurn = (): void => {
    this.#started.clear();
    this.#began = systemTime.monotonic();
    this.#startNext();
  };

  /**
   * One of each user, and again, until each has had its number or the turn is long. A handler runs in microtasks, and
   * those of one run before the next begins: only then is it known how long they took.
   */
  readonly #startNext = (): void => {
    const [user] = this.#waiting.keys();
    const isOver =
      user === undefined ||
      (this.#started.get(user) ?? 0) >= this.#most ||
      systemTime.monotonic() - this.#began > TURN_MS;
    if (!isOver) {
      this.#startOne(user);
      afterMicrotasks(this.#startNext);
    } else if (this.#started.size > 0 || this.#waiting.size > 0) afterTurn(this.#nextTurn);
  };

  #startOne(user: string): void {
    const waiting = this.#waiting.get(user) ?? [];
    this.#waiting.delete(user);
    // What a client that left holds is given back: its request would wait here without a charge.
    const next = waiting.findIndex(({ client }) => client?.closed !== true);
    const [entry] = next === -1 ? [] : waiting.splice(0, next + 1).slice(-1);
    // Behind all others.
    if (entry !== undefined && waiting.length > 0) this.#waiting.set(user, waiting);
    if (entry === undefined) return;
    this.#started.set(user, (this.#started.get(user) ?? 0) + 1);
    entry.start();
  }
}
