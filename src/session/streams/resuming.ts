/**
 * How responses end before their stream does, and how clients come back to the stream.
 *
 * A resume reads the log, and new messages are held back until then. The new sink gets the events of the log, and
 * then the held messages by offset. So no message is missing and none comes twice, however slow the store is.
 *
 * The newest sink of a GET stream gets its messages. An earlier sink is *parked*: its response stays open, with
 * comments only, until the newest sink ends. Often the connection of a parked sink is dead. If it is alive, both
 * sinks belong to one client. Ending the parked response would make that client reconnect and end the newer response,
 * and so on in turn.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Sink } from '../../http/sink.ts';
import type { LoggedEvent, MaybePromise, ReplayOutcome } from '../../stores/store.ts';
import { callSuffix, GET_STREAM, resumeSuffix } from './event-id.ts';
import type { SessionEventLog, WriteResult } from './event-log.ts';

/** The `retry:` before an end after which the client should reconnect at once. */
export const SOON_MS = 100;
/** Beyond this number of parked sinks the oldest ends. */
const MOST_PARKED = 3;

/** Where a sink left a stream, and how often a sink resumed from that position. */
export interface ResumeFrom {
  readonly offset: number;
  readonly resumes: number;
}

/** A stream to which clients come back. */
export interface ResumedStream {
  readonly key: string;
  readonly log: SessionEventLog | undefined;
  readonly isComplete: boolean;
  readonly isStored: boolean;
  readonly answersOnly: boolean;
  readonly sink: Sink | undefined;
  readonly position: ResumeFrom;
  readonly canResume: boolean;
  use(sink: Sink, done?: () => void): void;
  takeSink(): (() => void) | undefined;
  endSink(): void;
  message(json: string, offset: number): void;
  resumePoint(from: ResumeFrom, retryMs: number): void;
  storePoint(): MaybePromise<WriteResult>;
  whenFlushed(then: () => void): void;
}

export class Resuming {
  readonly #stream: ResumedStream;
  /** Its response is about to end, and its client should resume at once. */
  #ending: Sink | undefined = undefined;
  /** The client polls: no response stays open until the stream is complete. ms between its polls. */
  #pollMs: number | undefined = undefined;
  /** Oldest first. */
  #parked: Sink[] = [];
  /** Messages that arrive while a resumed sink reads the log. */
  #held: LoggedEvent[] | undefined = undefined;
  /**
   * The last offset that a resumed sink got from the log. The store may acknowledge the write of that event later.
   */
  #replayed = -1;
  #last: Promise<void> | undefined = undefined;
  /** Where a sink was ended on purpose, in the form in which it resumes. */
  #cleanEnd: ResumeFrom | undefined = undefined;

  constructor(stream: ResumedStream) {
    this.#stream = stream;
  }

  // ——— ends of a response before the end of the stream ———

  /** How long the client waits before it comes back; `undefined`: as the endpoint's option. */
  get retryMs(): number | undefined {
    const { log, sink } = this.#stream;
    if (sink !== undefined && sink === this.#ending) return Math.min(SOON_MS, log?.retryMs ?? SOON_MS);
    return this.#pollMs;
  }

  /**
   * Ends the sink after its last id once more, so that its client resumes from there. `soon`: at once, because
   * another instance serves.
   */
  endToResume(soon: boolean): void {
    const stream = this.#stream;
    const { log, sink, position } = stream;
    this.#ending = soon ? sink : undefined;
    if (log !== undefined && sink?.isOpen === true && position.offset >= 0)
      stream.resumePoint(position, this.retryMs ?? log.retryMs);
    stream.endSink();
  }

  /** The store is away: ends the sink if its client can resume, because another instance may have the answer. */
  endToResumeElsewhere(): void {
    const { sink, answersOnly, canResume } = this.#stream;
    if (answersOnly || !canResume || this.reads) return;
    if (sink?.isOpen === true && !sink.isRelayed) this.endToResume(true);
  }

  /** Ends the response but not the stream. The last event makes the client reconnect at once and resume. */
  endAtNewPoint(): void {
    if (this.#stream.log !== undefined && !this.#stream.isComplete) this.#endAtPoint(true);
  }

  /**
   * Ends the response and each later one: the client comes back every `retryMs` until the stream is complete. `false`:
   * it could not resume, and nothing changes.
   */
  poll(retryMs: number | undefined): boolean {
    const { log, isComplete } = this.#stream;
    if (log === undefined || isComplete) return false;
    this.#pollMs = retryMs ?? log.options.retryMs;
    this.#endAtPoint(false);
    return true;
  }

  /**
   * Leaves the call to the next owner, which runs it again. A sink at another instance continues there; any other
   * sink resumes.
   */
  handOverAtPoint(soon: boolean): void {
    this.#endAtPoint(soon, true);
  }

  /** Ends the response once the sink has a new id to resume from. `moves`: a relayed response continues. */
  #endAtPoint(soon: boolean, moves = false): void {
    const stream = this.#stream;
    const { sink } = stream;
    if (sink === undefined) return;
    this.#ending = soon ? sink : undefined;
    const end = (): void => {
      if (stream.sink !== sink) return;
      if (moves && sink.isRelayed) sink.handOver(true);
      else stream.endSink();
    };
    const stored = stream.storePoint();
    if (stored instanceof Promise) void stored.then(end);
    else end();
  }

  /**
   * A function that ends the present sink cleanly, if it still reads then: its client resumes at once. `undefined`:
   * this sink resumed at `from` after such an end.
   */
  laterEndToResume(from: ResumeFrom): (() => void) | undefined {
    const stream = this.#stream;
    const { sink } = stream;
    const before = this.#cleanEnd;
    this.#cleanEnd = undefined;
    if (before?.offset === from.offset && before.resumes === from.resumes) return undefined;
    return () => {
      if (sink === undefined || stream.sink !== sink || stream.isComplete || this.reads) return;
      const { offset, resumes } = stream.position;
      this.#cleanEnd = { offset, resumes: resumes + 1 };
      this.endToResume(true);
    };
  }

  // ——— parked sinks ———

  /** Parks the present sink: it gets no more messages, and its response ends with that of the next sink. */
  park(): void {
    const { sink } = this.#stream;
    if (sink === undefined) return;
    const done = this.#stream.takeSink();
    this.#parked.push(sink);
    if (this.#parked.length > MOST_PARKED) this.#parked[0]?.end();
    done?.();
  }

  /** The response of this sink is over. */
  forget(sink: Sink): void {
    this.#parked = this.#parked.filter((parked) => parked !== sink);
  }

  endParked(): void {
    for (const sink of this.#parked.splice(0)) sink.end();
  }

  // ——— resuming ———

  /** Whether a resumed sink reads the log. */
  get reads(): boolean {
    return this.#held !== undefined;
  }

  /** Whether a resumed sink has this stored message from the log, or will get it after the log. */
  takes(data: string, offset: number): boolean {
    this.#held?.push({ offset, data });
    return this.reads || offset <= this.#replayed;
  }

  /**
   * Resumes for a client that has every event up to `from.offset`. `open` makes its sink once the log has shown that
   * it can continue from there; otherwise this resolves to `false`. One resume at a time, so that no sink misses a
   * message that went to the sink before it.
   */
  resume(open: () => Sink, from: ResumeFrom, done?: () => void): Promise<boolean> {
    const resumed = (this.#last ?? Promise.resolve()).then(() => this.#resume(open, from, done));
    const clear = (): void => {
      if (this.#last === settled) this.#last = undefined;
    };
    const settled: Promise<void> = resumed.then(clear, clear);
    this.#last = settled;
    return resumed;
  }

  async #resume(open: () => Sink, from: ResumeFrom, done: (() => void) | undefined): Promise<boolean> {
    const stream = this.#stream;
    const { log } = stream;
    if (log === undefined) return false;
    this.#held = [];
    let outcome: ReplayOutcome | undefined;
    try {
      outcome = await log.read(stream.key, from.offset);
    } finally {
      if (outcome?.found !== true || from.offset >= outcome.next) this.#sendHeld(stream.sink, -1);
    }
    if (!outcome.found || from.offset >= outcome.next) return false;
    // The new sink takes over, in one turn with the events of the log.
    if (stream.key === GET_STREAM) this.park();
    else stream.endSink();
    const sink = open();
    stream.use(sink, done);
    stream.resumePoint(from, stream.isComplete ? log.retryMs : (this.#pollMs ?? log.retryMs));
    this.#replayed = from.offset;
    for (const { offset, data } of outcome.events) {
      this.#replayed = offset;
      if (data !== '') stream.message(data, offset);
    }
    this.#sendHeld(sink, this.#replayed);
    if (this.#pollMs !== undefined) stream.whenFlushed(() => this.#endPoll(sink));
    return true;
  }

  /** A poll also takes the messages that were being stored when it came. */
  #endPoll(sink: Sink): void {
    if (sink === this.#stream.sink && !this.#stream.isComplete) this.#stream.endSink();
  }

  /**
   * Sends the held messages past `after`, and stops holding. Ends the sink if the stream was completed in the
   * meantime.
   */
  #sendHeld(sink: Sink | undefined, after: number): void {
    const held = this.#held;
    this.#held = undefined;
    for (const { offset, data } of held ?? []) {
      if (offset > after && sink === this.#stream.sink) this.#stream.message(data, offset);
    }
    if (this.#stream.isStored) this.#stream.endSink();
  }
}

/** Sends to a sink of a complete stream the events that the log keeps after `from`, then the end. */
export function replayComplete(
  events: readonly LoggedEvent[],
  sink: Sink,
  from: ResumeFrom & { readonly stream: string; readonly call: RequestId | undefined; readonly isTool: boolean },
  log: SessionEventLog,
): void {
  const { stream } = from;
  const call = callSuffix(from.call, from.isTool);
  sink.point(log.eventId(stream, from.offset, call + resumeSuffix(from.resumes)), log.retryMs, log.emptyData);
  for (const { offset, data } of events) {
    if (data !== '') sink.message(data, log.eventId(stream, offset, call));
  }
  sink.end();
}
