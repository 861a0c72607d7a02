/**
 * The calls of this process with one key and the same arguments, while they wait for an outcome. The first of them asks
 * the store and perhaps runs the handler; the others share what it finds.
 */
import type { CallEnd, OnceEntry } from './once-call.ts';
import type { Outcome } from './entry.ts';
import type { OnceRun } from './once-run.ts';

/** `again`: there is no outcome, and the next call that waits asks the store. */
export type Told = Outcome | 'again';

export class LocalEntry {
  readonly entry: OnceEntry;
  readonly told: Promise<Told>;
  run: OnceRun | undefined = undefined;
  /** Calls that wait. */
  waiting = 0;
  settle!: (told: Told) => void;
  fail!: (cause: unknown) => void;

  constructor(entry: OnceEntry) {
    this.entry = entry;
    this.told = new Promise((resolve, reject) => {
      this.settle = resolve;
      this.fail = reject;
    });
    // Perhaps no other call waits for it.
    this.told.catch(() => {});
  }

  /** A call waits no longer: it has its answer, or its client left. */
  leave(end?: CallEnd): void {
    this.waiting -= 1;
    if (end !== undefined) this.run?.left(end, this.waiting === 0);
  }
}

/** Calls with other arguments have another local entry, and learn of the conflict from the store. */
export const localKey = ({ id, args }: OnceEntry): string => `${id} ${args}`;
