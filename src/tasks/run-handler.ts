/** What the handler of one run does, as `task()` tells. */
import type { TaskEnd } from './task-record.ts';

export class RunHandler {
  #running = 0;
  #hasBegun = false;
  #hasThrown = false;
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

  enters(): void {
    this.#hasBegun = true;
    this.#running += 1;
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
