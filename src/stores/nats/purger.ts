/**
 * Deletes logs from the disk: logs of ended records, and messages that retention does not keep. A purge makes the
 * server look into every block of the stream that has messages of the record, with the stream locked. So purges run
 * one after the other, with pauses that leave the stream free for most of the time. Logs that are not purged are
 * deleted by their age.
 */
import type { Deadlines } from '../shared/deadlines.ts';
import type { JetStream } from './jetstream.ts';
import type { KindNames } from './names.ts';

/** The pause after a purge, as a multiple of its duration. */
const PAUSE = 19;
const MAX_WAITING = 1_000;

export class Purger {
  readonly #jetstream: JetStream;
  readonly #deadlines: Deadlines;
  /** Subjects, and the sequence before which they are purged. */
  readonly #waiting = new Map<string, number>();
  #timer: unknown;
  #busy = false;
  #closed = false;

  constructor(jetstream: JetStream, deadlines: Deadlines) {
    this.#jetstream = jetstream;
    this.#deadlines = deadlines;
  }

  /** Messages of a log that are older than `before`, and parts that are older than `partsBefore`. */
  purge(names: KindNames, id: string, before: number, partsBefore: number): void {
    this.#add(names.log(id), before);
    this.#add(names.logPart(id), partsBefore);
    if (!this.#busy && this.#timer === undefined) void this.#next();
  }

  /** Nothing is before 1, which the server takes for no limit. */
  #add(subject: string, before: number): void {
    const room = this.#waiting.size < MAX_WAITING || this.#waiting.has(subject);
    if (before > 1 && room) this.#waiting.set(subject, before);
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#deadlines.time.clearTimeout(this.#timer);
  }

  async #next(): Promise<void> {
    const [first] = this.#waiting;
    if (first === undefined || this.#closed) return;
    const [subject, before] = first;
    this.#waiting.delete(subject);
    this.#busy = true;
    const since = this.#deadlines.now();
    try {
      if ((await this.#jetstream.last('log', subject)) !== undefined)
        await this.#jetstream.purge('log', subject, before);
    } catch {
      // The log is deleted by its age.
    }
    this.#busy = false;
    if (this.#closed || this.#waiting.size === 0) return;
    this.#timer = this.#deadlines.time.setTimeout(
      () => {
        this.#timer = undefined;
        void this.#next();
      },
      Math.ceil((this.#deadlines.now() - since) * PAUSE),
    );
  }
}
