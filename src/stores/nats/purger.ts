/**
 * Deletes logs from the disk: logs of ended records, and messages that retention does not keep. A purge makes the
 * server look into every block of the stream that has messages of the record, with the stream locked. So purges run
 * one after the other, with pauses that leave the stream free for most of the time. Logs that are not purged are
 * deleted by their age.
 */
import type { TimeProvider } from '../../types.ts';
import type { NatsDeadlines } from './deadlines.ts';
import type { JetStream } from './jetstream.ts';
import type { KindNames } from './names.ts';

/** The pause after a purge, as a multiple of its duration. */
const PAUSE = 19;
const MAX_WAITING = 1_000;

export interface PurgerOptions {
  readonly jetstream: JetStream;
  readonly names: KindNames;
  readonly deadlines: NatsDeadlines;
  readonly time: TimeProvider;
}

export class Purger {
  readonly #options: PurgerOptions;
  /** Subjects, and the sequence before which they are purged. */
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
    const room = this.#waiting.size < MAX_WAITING || this.#waiting.has(subject);
    if (before > 0 && room) this.#waiting.set(subject, before);
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#options.time.clearTimeout(this.#timer);
  }

  async #next(): Promise<void> {
    const { jetstream, deadlines, time } = this.#options;
    const [first] = this.#waiting;
    if (first === undefined || this.#closed) return;
    const [subject, before] = first;
    this.#waiting.delete(subject);
    this.#busy = true;
    const since = deadlines.now();
    try {
      if ((await jetstream.last('log', subject, deadlines.deadline())) !== undefined)
        await jetstream.purge('log', subject, before, deadlines.deadline());
    } catch {
      // The log is deleted by its age.
    }
    this.#busy = false;
    if (this.#closed || this.#waiting.size === 0) return;
    this.#timer = time.setTimeout(
      () => {
        this.#timer = undefined;
        void this.#next();
      },
      Math.ceil((deadlines.now() - since) * PAUSE),
    );
  }
}
