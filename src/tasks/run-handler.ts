/** What the handler of one run does, as `task()` tells. */
import type { TaskEnd } from './task-record.ts';

export class RunHandler {
  #running = 0;
  #hasBegun = false;
  #hasThrown = false;
  #abandon = (): void => {};
  #error: TaskEnd['error'] = undefined;

  get isActive(): boolean {
    return this.#running > 0;
  }

  /** `false`: nothing has entered it, for example because the server lacks the tool. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  get hasThrown(): boolean {
    return this.#hasThrown;
  }

  /** A JSON-RPC error that it threw: the SDK makes a result of it. */
  get error(): TaskEnd['error'] {
    return this.#error;
  }

  /** `abandon`: of its call, whose handler is not waited for any more. */
  enters(abandon: () => void): void {
    this.#hasBegun = true;
    this.#running += 1;
    this.#abandon = abandon;
  }

  /** It never settles: it waits for an answer that another run gets, or for work elsewhere. */
  abandon(): void {
    this.#abandon();
  }

  settles(): void {
    this.#running -= 1;
  }

  /** `error`: a JSON-RPC error. */
  throws(error: TaskEnd['error']): void {
    this.#hasThrown = true;
    this.#error = error;
  }
}
