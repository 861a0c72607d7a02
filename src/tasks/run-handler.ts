/** What the handler of one run does, as `task()` tells. */
import type { SojournError } from '../errors.ts';
import { isAnswer } from '../session/calls/answer-error.ts';
import { CallRefusal } from '../session/calls/call-refusal.ts';
import type { TaskEnd } from './task-record.ts';

export class RunHandler {
  #running = 0;
  #hasBegun = false;
  #hasThrown = false;
  #abandon = (): void => {};
  #thrown: unknown = undefined;

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

  get thrown(): unknown {
    return this.#thrown;
  }

  /** A JSON-RPC error that it threw: the SDK makes a result of it. */
  get error(): TaskEnd['error'] {
    const thrown = this.#thrown;
    if (!isAnswer(thrown)) return undefined;
    const { code, message, data } = thrown;
    return { code, message, ...(data !== undefined && { data }) };
  }

  /** Its call did not become a task. */
  get refusal(): SojournError | undefined {
    return this.#thrown instanceof CallRefusal ? this.#thrown.refusal : undefined;
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

  throws(cause: unknown): void {
    this.#hasThrown = true;
    this.#thrown = cause;
  }
}
