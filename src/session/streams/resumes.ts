/**
 * The resumes of one stream. A resume reads the log, and what is stored in that time is held for
 * the new reader. It gets the events of the log, and then the held ones, by offset. So no message
 * is missing and none comes twice, however slow the store is. Where the log cannot continue, the
 * reader before it reads on.
 */
import type { Sink } from '../../http/sink.ts';
import type { LoggedEvent } from '../../stores/store.ts';
import type { SessionEventLog } from './event-log.ts';
import type { Reader, ResumeFrom } from './reader.ts';

/** The stream as its resumes see it. */
interface ResumedStream {
  readonly key: string;
  readonly log: SessionEventLog | undefined;
  readonly reader: Reader | undefined;
  readonly pollMs: number | undefined;
  readonly isComplete: boolean;
  /** The log has all of it. */
  readonly isStored: boolean;
  use(sink: Sink, done: (() => void) | undefined): Reader;
  whenRead(then: (reader: Reader) => void): void;
  endSink(): void;
}

export class Resumes {
  readonly #stream: ResumedStream;
  #last: Promise<unknown> = Promise.resolve();
  /** What is stored while a resume reads the log. */
  held: LoggedEvent[] | undefined = undefined;
  /** Where a response was ended on purpose, in the form in which its client resumes. */
  #cleanEnd: ResumeFrom | undefined = undefined;

  constructor(stream: ResumedStream) {
    this.#stream = stream;
  }

  /**
   * Resumes for a client that has every event up to `from.offset`. `open` makes its sink once the log has shown that
   * it can continue from there; otherwise this resolves to `false`. One resume at a time, so that no sink misses a
   * message that went to the sink before it.
   */
  run(open: () => Sink, from: ResumeFrom, done: () => void): Promise<boolean> {
    const resumed = this.#last.then(() => this.#resume(open, from, done));
    this.#last = resumed.catch(() => {});
    return resumed;
  }

  async #resume(open: () => Sink, from: ResumeFrom, done: () => void): Promise<boolean> {
    const stream = this.#stream;
    const { log, key } = stream;
    if (log === undefined) return false;
    const held: LoggedEvent[] = (this.held = []);
    let events: readonly LoggedEvent[] | undefined;
    try {
      const read = await log.read(key, from.offset);
      events = read.found && from.offset < read.next ? read.events : undefined;
    } finally {
      this.held = undefined;
      if (events === undefined) this.#catchUp(held);
    }
    if (events === undefined) return false;
    // The new sink takes over, in one turn with the events of the log.
    stream.use(open(), done).resume(from, stream.isComplete ? log.options.retryMs : undefined);
    this.#catchUp([...events, ...held].filter(({ data }) => data !== ''));
    // A poll also takes the messages that were being stored when it came.
    if (stream.pollMs !== undefined) stream.whenRead(() => stream.isComplete || stream.endSink());
    return true;
  }

  /** Gives the reader what it does not have of these. Ends the sink of a stream that is complete by now. */
  #catchUp(events: readonly LoggedEvent[]): void {
    const { reader } = this.#stream;
    for (const { offset, data } of events) {
      if (reader !== this.#stream.reader) break;
      reader?.take(data, offset);
    }
    if (this.#stream.isStored) this.#stream.endSink();
  }

  /**
   * A function that ends the present response cleanly, if it is still read then: its client resumes at once.
   * `undefined`: this reader resumed at `from` after such an end.
   */
  laterEnd(from: ResumeFrom): (() => void) | undefined {
    const { reader } = this.#stream;
    const before = this.#cleanEnd;
    this.#cleanEnd = undefined;
    if (before?.offset === from.offset && before.resumes === from.resumes) return undefined;
    return () => {
      const { isComplete, reader: present } = this.#stream;
      if (reader === undefined || reader !== present || isComplete || this.held !== undefined)
        return;
      this.#cleanEnd = { offset: reader.offset, resumes: reader.resumes + 1 };
      reader.endToResume(true);
    };
  }
}
