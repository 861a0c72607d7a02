/**
 * Counts how far a record's log exceeds its retention. A replay decides exactly, per event. This counter works in
 * segments that are larger than what retention keeps. When one is full, the log before it can go. It counts only what
 * this process wrote; messages of earlier owners are older and go with the first purge.
 */
import type { EventRetention } from '../../types.ts';
import type { LogOp } from './log-state.ts';

/** The size of a segment, as a multiple of what retention keeps. A purge costs less if it is rare. */
const SEGMENT = 1.5;

/** The first message that the server must keep, and the message before it. */
export interface Kept {
  readonly seq: number;
  readonly after: number;
}

export class RetentionCounter {
  readonly #retention: EventRetention;
  #first: Kept | undefined;
  #events = 0;
  #bytes = 0;

  constructor(retention: EventRetention) {
    this.#retention = retention;
  }

  /** Adds a message that was written after the message `after`. Returns the first message to keep after a purge. */
  add(seq: number, after: number, ops: readonly LogOp[]): Kept | undefined {
    const first = (this.#first ??= { seq, after });
    for (const { l: lengths = [] } of ops) {
      this.#events += lengths.length;
      for (const length of lengths) this.#bytes += length;
    }
    const { events, bytes } = this.#retention;
    if (this.#events < SEGMENT * events && this.#bytes < SEGMENT * bytes) return undefined;
    this.#first = undefined;
    this.#events = 0;
    this.#bytes = 0;
    return first;
  }
}
