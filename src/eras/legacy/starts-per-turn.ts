/**
 * Starts calls that waited for the store. A store writes many calls together and answers them in one turn. If all of
 * them started in that turn, the results of all handlers would exist at once, before the first is charged to the memory
 * budget: 30 results of 8 MB fill a heap of 256 MB. So a few start in each turn of the event loop, in order.
 */
import { afterTurn } from '../../options/system.ts';
import type { MaybePromise } from '../../types.ts';

/** More would hold more results at once. Fewer would make smaller groups of the writes that follow. */
const STARTS = 4;

export class StartsPerTurn {
  #started = 0;
  readonly #waiting: Array<() => void> = [];

  run<T>(start: () => MaybePromise<T>): MaybePromise<T> {
    if (this.#waiting.length === 0 && this.#started < STARTS) {
      if (this.#started === 0) afterTurn(this.#nextTurn);
      this.#started += 1;
      return start();
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(start());
        } catch (cause) {
          reject(cause);
        }
      });
    });
  }

  readonly #nextTurn = (): void => {
    const due = this.#waiting.splice(0, STARTS);
    this.#started = due.length;
    if (due.length > 0) afterTurn(this.#nextTurn);
    for (const start of due) start();
  };
}
