/**
 * A reader of a stream: one sink, and the last event that it has. Messages that are stored now and messages of the log
 * reach it in the same way, by their offsets: it takes each once, in their order. An unlogged stream has no offsets, and
 * its reader gets what comes while it reads.
 *
 * Its response may end before its stream: then the client resumes from the last event, or the next owner continues it.
 *
 * The newest sink of a GET stream gets its messages. An earlier sink is *parked*: its response stays open, with
 * comments only, until the newest sink ends. Often the connection of a parked sink is dead. If it is alive, both
 * sinks belong to one client. Ending the parked response would make that client reconnect and end the newer response,
 * and so on in turn.
 */
import type { Sink } from '../../http/sink.ts';
import { resumeSuffix } from './event-id.ts';
import type { SessionEventLog } from './event-log.ts';

/** The `retry:` before an end after which the client should reconnect at once. */
export const SOON_MS = 100;
const NO_SINKS: readonly Sink[] = [];
/** Beyond this number of parked sinks the oldest ends. */
const MOST_PARKED = 3;

/** Where a sink left a stream, and how often a sink resumed from that position. */
export interface ResumeFrom {
  readonly offset: number;
  readonly resumes: number;
}

/** The stream as its reader sees it. */
interface ReadStream {
  readonly log: SessionEventLog | undefined;
  /** ms between the requests of a client that polls. */
  readonly pollMs: number | undefined;
  /** `undefined`: the stream is not logged. */
  eventId(offset: number, resumed?: string): string | undefined;
  endSink(): void;
}

export class Reader implements ResumeFrom {
  readonly sink: Sink;
  readonly #stream: ReadStream;
  /** Called when it has ended. */
  readonly #done: (() => void) | undefined;
  /** The last event that its sink has; -1: none. */
  offset = -1;
  resumes = 0;
  /** Earlier sinks of a GET stream, oldest first: they end with this one. */
  #parked = NO_SINKS;

  constructor(stream: ReadStream, sink: Sink, done: (() => void) | undefined) {
    this.#stream = stream;
    this.sink = sink;
    this.#done = done;
  }

  /** An event of the stream; `''`: it has only an id. The log may have had it before the store acknowledged it. */
  take(json: string, offset: number): void {
    if (offset <= this.offset) return;
    if (json === '') return this.point(offset);
    this.offset = offset;
    this.resumes = 0;
    this.sink.message(json, this.#stream.eventId(offset));
  }

  /** An event with only an id, where the stream is logged. */
  point(offset: number, retryMs = this.#stream.pollMs, resumed?: string): void {
    const { log } = this.#stream;
    if (log === undefined) return;
    this.offset = offset;
    const id = this.#stream.eventId(offset, resumed) ?? '';
    this.sink.point(id, retryMs ?? log.options.retryMs, log.clientResumes);
  }

  /** The sink continues at `from`, and gets that id as a new one. */
  resume({ offset, resumes }: ResumeFrom, retryMs?: number): void {
    this.point(offset, retryMs, resumeSuffix(resumes));
    this.resumes = resumes + 1;
  }

  // ——— its end ———

  /** Ends its sink, unless that is closed, and those that it has parked. */
  end(isClosed: boolean): void {
    if (!isClosed) this.sink.end();
    for (const sink of this.#parked) sink.end();
    this.#done?.();
  }

  /** The sinks of the reader before it stay open, and end with this one. */
  park(before: Reader): void {
    // Its first event may not be stored yet, and goes to this sink.
    before.sink.sendHead();
    this.#parked = [...before.#parked, before.sink];
    before.#done?.();
    if (this.#parked.length > MOST_PARKED) this.#parked[0]?.end();
  }

  forget(closed: Sink): void {
    this.#parked = this.#parked.filter((sink) => sink !== closed);
  }

  /** Whether the client comes back after an end of the response, and has an id to resume from. */
  get #canResume(): boolean {
    return this.#stream.log?.clientResumes === true && this.offset >= 0;
  }

  /**
   * Ends the sink after its last id once more, so that its client resumes from there. `soon`: at once, because
   * another instance serves.
   */
  endToResume(soon: boolean): void {
    const { log } = this.#stream;
    const retryMs = soon && log !== undefined ? Math.min(SOON_MS, log.options.retryMs) : undefined;
    if (this.sink.isOpen && this.offset >= 0) this.resume(this, retryMs);
    this.#stream.endSink();
  }

  /** The store is away: ends the sink if its client can resume, because another instance may have the answer. */
  endToResumeElsewhere(): void {
    if (this.sink.isOpen && this.sink.isRelayed !== true && this.#canResume) this.endToResume(true);
  }

  /**
   * Another instance owns the session, and ends or runs again what ran here: the response continues with what the log
   * gets there. `false`: it has no event id to continue from.
   */
  handOver(): boolean {
    const { sink } = this;
    if (!sink.isOpen || sink.takes === 'answers' || (!this.#canResume && sink.isRelayed !== true))
      return false;
    sink.handOver(true);
    return true;
  }
}
