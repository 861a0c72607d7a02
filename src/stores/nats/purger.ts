/**
 * Takes logs off the disk. What has ended, or is more than is kept, is nobody's at once; removing it costs the server a look
 * into every block of the stream that the session has written to, with the stream locked. So it is done one after the other,
 * with pauses that leave the stream to others for most of the time; what is not reached goes by its age.
 */
import type { TimeProvider } from '../../types.ts';
import type { Bounds } from './bounds.ts';
import type { Held } from './copies.ts';
import type { JetStream } from './jetstream.ts';
import type { Ledger } from './ledger.ts';
import type { LogWriter } from './log-writer.ts';
import { LogState } from './log-state.ts';
import type { Names } from './names.ts';

/** Of the time that a purge takes. */
const PAUSE = 19;
const WAITING = 1_000;

export interface PurgerOptions {
  readonly jetstream: JetStream;
  readonly names: Names;
  readonly ledger: Ledger;
  readonly log: LogWriter;
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

  /** The log of a session that has ended: a note that says so stays at its end, and refuses what still comes. */
  async empty(id: string, held: Held, epoch: number, deadline: number): Promise<void> {
    const { ledger, log } = this.#options;
    const copy = await ledger.withLog(id, held, deadline);
    const { last } = copy.log;
    const nothing = { ...copy, log: { ...copy.log, recent: [], state: new LogState() } };
    await log.note(id, nothing, { epoch, owner: null, kind: 'end' }, deadline);
    if (last > 0) this.purge(id, nothing.log.last);
  }

  /** What is older than `before`. */
  purge(id: string, before: number): void {
    const { names } = this.#options;
    for (const subject of [names.log(id), names.logPart(id)]) {
      if (this.#waiting.size < WAITING || this.#waiting.has(subject)) this.#waiting.set(subject, before);
    }
    if (!this.#busy && this.#timer === undefined) void this.#next();
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
