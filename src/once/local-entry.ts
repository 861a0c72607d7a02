/**
 * The calls of this process that wait for the outcome of one entry. The first of them asks the store and perhaps runs
 * the handler; the others share what it finds.
 *
 *     asked ──stored, or found with these arguments──▶ known ──▶ settled
 *       ╰──found with other arguments, or not found out──────────────╯
 */
import type { CallEnd } from '../session/calls/once-calls.ts';
import type { Outcome } from './entry.ts';

/** `again`: there is no outcome, and the next call that waits asks the store. */
export type Told = Outcome | 'again';

/** A run of the handler in this process. */
export interface LocalRun {
  /** A call no longer waits for it. `last`: no other one does. */
  left(end: CallEnd, last: boolean): void;
}

export class LocalEntry {
  readonly args: string;
  readonly told: Promise<Told>;
  /** `true`: the entry in the store has the arguments of these calls. */
  readonly known: Promise<boolean>;
  run: LocalRun | undefined = undefined;
  /** Calls that wait. */
  waiting = 0;
  #know!: (isKnown: boolean) => void;
  #tell!: (told: Told) => void;
  #fail!: (cause: unknown) => void;

  constructor(args: string) {
    this.args = args;
    this.known = new Promise((resolve) => (this.#know = resolve));
    this.told = new Promise((resolve, reject) => {
      this.#tell = resolve;
      this.#fail = reject;
    });
    // Perhaps no other call waits for it.
    this.told.catch(() => {});
  }

  know(): void {
    this.#know(true);
  }

  settle(told: Told): void {
    this.#know(false);
    this.#tell(told);
  }

  fail(cause: unknown): void {
    this.#know(false);
    this.#fail(cause);
  }

  /** A call waits no longer: it has its answer, or its client left. */
  leave(end?: CallEnd): void {
    this.waiting -= 1;
    if (end !== undefined) this.run?.left(end, this.waiting === 0);
  }
}
