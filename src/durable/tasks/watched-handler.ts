/** What the handler of one run does, as `task()` tells. */
import type { SojournError } from '../../base/errors.ts';
import { CallRefusal, isAnswer } from '../../base/errors/answer-error.ts';
import type { TaskEnd } from './task-record.ts';

export class WatchedHandler {
  #running = 0;
  #hasBegun = false;
  #thrown: { readonly cause: unknown } | undefined = undefined;

  get isActive(): boolean {
    return this.#running > 0;
  }

  /** `false`: nothing has entered it, for example because the server lacks the tool. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** What it threw; `undefined`: it has not thrown. */
  get thrown(): { readonly cause: unknown } | undefined {
    return this.#thrown;
  }

  /** A JSON-RPC error that it threw: the SDK makes a result of it. */
  get error(): TaskEnd['error'] {
    const cause = this.#thrown?.cause;
    if (!isAnswer(cause)) return undefined;
    const { code, message, data } = cause;
    return { code, message, ...(data !== undefined && { data }) };
  }

  /** Its call did not become a task. */
  get refusal(): SojournError | undefined {
    const cause = this.#thrown?.cause;
    return cause instanceof CallRefusal ? cause.refusal : undefined;
  }

  enters(): void {
    this.#hasBegun = true;
    this.#running += 1;
  }

  settles(): void {
    this.#running -= 1;
  }

  throws(cause: unknown): void {
    this.#thrown = { cause };
  }
}
