import { afterTurn } from '../../base/system.ts';

/** More would hold more results at once. Fewer would make smaller groups of the writes that follow. */
const STARTS = 4;

/**
 * Starts calls whose writes a store answers in one turn of the event loop: a few in each turn, in order. If all started
 * in that turn, the results of all handlers would exist before the first is charged to the memory budget: 60 results of
 * 8 MB end a process with a heap of 512 MB.
 */
export class StartTurns {
  #started = 0;
  #waiting: Array<() => void> = [];

  /** `undefined`: the call starts now. */
  turn(): Promise<void> | undefined {
    if (this.#started === 0) afterTurn(this.#next);
    this.#started += 1;
    if (this.#started <= STARTS) return undefined;
    return new Promise((start) => this.#waiting.push(start));
  }

  readonly #next = (): void => {
    const starting = this.#waiting.splice(0, STARTS);
    this.#started = starting.length + this.#waiting.length;
    if (this.#started > 0) afterTurn(this.#next);
    for (const start of starting) start();
  };
}
