/**
 * The calls of this process with one key and the same arguments, while they wait for an outcome. The first of them asks
 * the store and perhaps runs the handler; the others share what it finds.
 */
import type { OnceCall, OnceEntry } from './once-call.ts';
import type { Outcome } from './entry.ts';

/** `again`: there is no outcome, and the next call that waits asks the store. */
export type Told = Outcome | 'again';

export class OnceRun {
  readonly entry: OnceEntry;
  readonly told: Promise<Told>;
  settle!: (told: Told) => void;
  fail!: (cause: unknown) => void;
  readonly #abort = new AbortController();
  #hasBegun = false;
  /** Calls that wait. */
  #waiting = 0;

  constructor(entry: OnceEntry) {
    this.entry = entry;
    this.told = new Promise((resolve, reject) => {
      this.settle = resolve;
      this.fail = reject;
    });
    // Perhaps no other call waits for it.
    this.told.catch(() => {});
  }

  /** The handler runs here. */
  begins(): void {
    this.#hasBegun = true;
  }

  /** The signal that the handler gets. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * A call waits until its client leaves, which calls `then`, or until it calls what is returned. The last call whose
   * client leaves may end the run. A call that has timed out ends the run while others wait, too.
   */
  waits(call: OnceCall, then: () => void = () => {}): () => void {
    const left = (): void => {
      this.#waiting -= 1;
      const end = call.ended();
      const isLast = this.#waiting === 0 && (end === 'cancelled' || this.entry.endsWithClient);
      if (this.#hasBegun && (end === 'timedOut' || isLast)) this.abort(end);
      then();
    };
    this.#waiting += 1;
    call.signal.addEventListener('abort', left, { once: true });
    return () => call.signal.removeEventListener('abort', left);
  }

  readonly abort = (reason: string): void =>
    this.#abort.abort(new DOMException(`The run of once() was aborted: ${reason}`, 'AbortError'));
}

/** Calls with other arguments have another run, and learn of the conflict from the store. */
export const runKey = ({ id, args }: OnceEntry): string => `${id} ${args}`;
