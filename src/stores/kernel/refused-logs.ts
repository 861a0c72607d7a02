/**
 * The logs of one trip that lack an entry, because the store has refused a write for what it holds. No log write behind
 * it is sent, and its answer is `false`: otherwise a stream would lack an event.
 */
import { isRowWrite, type Write, type Written } from './backend.ts';

export class RefusedLogs {
  readonly #logs = new Set<string>();

  /** The write is not sent. */
  has(write: Write): boolean {
    return !isRowWrite(write) && this.#logs.has(keyOf(write));
  }

  answered(write: Write, answer: Written): void {
    if (answer instanceof Error && !isRowWrite(write)) this.#logs.add(keyOf(write));
  }
}

const keyOf = ({ kind, id }: Write): string => `${kind.name} ${id}`;
