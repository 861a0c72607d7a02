/**
 * Takes logs off the disk. What has ended, or is more than is kept, is nobody's at once; removing it costs the server a look
 * into every block of the stream that the session has written to, with the stream locked. So it is done one after the other,
 * with pauses that leave the stream to others for most of the time; what is not reached goes by its age.
 */
import type { TimeProvider } from '../../types.ts';
import type { Bounds } from './bounds.ts';
import type { JetStream } from './jetstream.ts';
import type { Names } from './names.ts';

/** Of the time that a purge takes. */
const PAUSE = 19;
const WAITING = 1_000;

export interface PurgerOptions {
  readonly jetstream: JetStream;
  readonly names: Names;
  readonly bounds: Bounds;
  readonly time: TimeProvider;
}

export class Purger {
  readonly #options: PurgerOptions;
  /** Subjects, and up to where they are purged. */
  readonly #waiting = new Map<string, number>();
  #timer: unknown;
  #busy = false;
  #closed = false;

  constructor(options: PurgerOptions) {
    this.#options = options;
  }

  /** Messages of a log that are older than `before`, and parts that are older than `partsBefore`. */
  purge(id: string, before: number, partsBefore: number): void {
    const { names } = this.#options;
    this.#add(names.log(id), before);
    this.#add(names.logPart(id), partsBefore);
    if (!this.#busy && this.#timer === undefined) void this.#next();
  }

  #add(subject: string, before: number): void {
    const room = this.#waiting.size < WAITING || this.#waiting.has(subject);
    if (before > 0 && room) this.#waiting.set(subject, before);
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#options.time.clearTimeout(this.#timer);
  }

  async #next(): Promise<void> {
    const { jetstream, bounds, time } = this.#options;
    const [first] = this.#waiting;
    if (first === undefined || this.#closed) return;
    const [subject, before] = first;
    this.#waiting.delete(subject);
    this.#busy = true;
    const since = bounds.now();
    try {
      if ((await jetstream.last('log', subject, bounds.deadline())) !== undefined)
        await jetstream.purge('log', subject, before, bounds.deadline());
    } catch {
      // It goes by its age.
    }
    this.#busy = false;
    if (this.#closed || this.#waiting.size === 0) return;
    this.#timer = time.setTimeout(
      () => {
        this.#timer = undefined;
        void this.#next();
      },
      Math.ceil((bounds.now() - since) * PAUSE),
    );
  }
}
