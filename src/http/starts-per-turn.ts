/**
 * Starts work that one turn of the event loop would start together: a few of each user in each turn, in order.
 *
 * * Calls whose writes a store answers in one turn, and calls that a client sends at once on the fetch face, which does
 *   not know their connection. If all of them started in that turn, the results of all handlers would exist at once,
 *   before the first is charged to the memory budget: 30 results of 8 MB fill a heap of 256 MB.
 * * Large bodies, of which each takes up to 90 ms to parse: requests of other users are served between two of them.
 */
import { AsyncResource } from 'node:async_hooks';
import { afterTurn } from '../options/system.ts';
import type { MaybePromise } from '../types.ts';

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

  /** `most`: how many of each user start in a turn. */
  constructor(most = STARTS) {
    this.#most = most;
  }

  /** Whether a further start of this user waits. */
  mustWait(user: string): boolean {
    return this.#waiting.has(user) || (this.#started.get(user) ?? 0) >= this.#most;
  }

  run<T>(user: string, start: () => MaybePromise<T>, client?: Client): MaybePromise<T> {
    if (!this.mustWait(user)) {
      if (this.#started.size === 0) afterTurn(this.#nextTurn);
      this.#started.set(user, (this.#started.get(user) ?? 0) + 1);
      return start();
    }
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(user) ?? [];
      this.#waiting.set(user, waiting);
      // The turn belongs to the request that began it, and has what the application keeps for that one.
      const later = AsyncResource.bind(() => {
        try {
          resolve(start());
        } catch (cause) {
          reject(cause);
        }
      });
      waiting.push({ client, start: later });
    });
  }

  readonly #nextTurn = (): void => {
    this.#started.clear();
    const due: Waiting[] = [];
    for (const [user, all] of this.#waiting) {
      // What a client that left holds is given back: its request would wait here without a charge.
      const waiting = all.filter(({ client }) => client?.closed !== true);
      const starts = waiting.splice(0, this.#most);
      if (waiting.length === 0) this.#waiting.delete(user);
      else this.#waiting.set(user, waiting);
      if (starts.length > 0) this.#started.set(user, starts.length);
      due.push(...starts);
    }
    if (due.length > 0) afterTurn(this.#nextTurn);
    for (const { start } of due) start();
  };
}
