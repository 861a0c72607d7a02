/**
 * One stream of messages to a client: a POST's stream ends with the last answer, the GET stream lives as long as its
 * session. The sink of a logged stream can disconnect and resume (`stored-stream.ts` stores its messages). The messages
 * of an unlogged stream reach only the present sink.
 *
 * The last message completes a stream. What a crash leaves: the stored events, and a stream that is not complete. The
 * next owner of the session ends it.
 *
 * A resume reads the log, and new messages are held back until then. The new sink gets the events of the log, and
 * then the held messages by offset. So no message is missing and none comes twice, however slow the store is.
 *
 * The newest sink of a GET stream gets its messages. An earlier sink is *parked*: its response stays open, with
 * comments only, until the newest sink ends. Often the connection of a parked sink is dead. If it is alive, both
 * sinks belong to one client. Ending the parked response would make that client reconnect and end the newer response,
 * and so on in turn.
 */
import type { Room, Sink, SinkListener } from '../../http/sink.ts';
import type { LoggedEvent, Mark, ReplayOutcome } from '../../stores/store.ts';
import { GET_STREAM, resumeSuffix } from './event-id.ts';
import type { AppendExtra, WriteResult } from './event-log.ts';
import { StoredStream } from './stored-stream.ts';

const NO_SINKS: readonly Sink[] = [];
/** The `retry:` before an end after which the client should reconnect at once. */
export const SOON_MS = 100;
/** Beyond this number of parked sinks the oldest ends. */
const MOST_PARKED = 3;

/** Where a sink left a stream, and how often a sink resumed from that position. */
export interface ResumeFrom {
  readonly offset: number;
  readonly resumes: number;
}

export class Stream extends StoredStream implements SinkListener {
  #isComplete = false;
  #sink: Sink | undefined = undefined;
  #sinkDone: (() => void) | undefined = undefined;
  /** Oldest first. */
  #parked = NO_SINKS;
  /** The last offset sent to the present sink, and how often a sink resumed from it. */
  #sent = -1;
  #resumes = 0;
  /** The client polls: no response stays open until the stream is complete. ms between its polls. */
  #pollMs: number | undefined = undefined;
  /** Messages that arrive while a resumed sink reads the log. */
  #held: LoggedEvent[] | undefined = undefined;
  /** The last offset that a resumed sink got from the log. The store may acknowledge the write of that event later. */
  #replayed = -1;
  #last: Promise<unknown> | undefined = undefined;
  /** Where a sink was ended on purpose, in the form in which it resumes. */
  #cleanEnd: ResumeFrom | undefined = undefined;

  // ——— how far it has come ———

  /** The last message of the stream was accepted. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The log has all of it. */
  get isStored(): boolean {
    return this.#isComplete && this.logged && !this.flushing && this.outcome === undefined;
  }

  /**
   * Whether the next owner of the session can answer the call: its sink is at another instance, or its client comes
   * back.
   */
  get canHandOver(): boolean {
    const isReached = this.clientResumes || this.#sink?.isRelayed === true;
    return this.call !== undefined && !this.#isComplete && isReached;
  }

  // ——— its messages ———

  /** Sets the sink of a POST. Its priming event is stored already, and is sent first. A call may be cancelled by then. */
  begin(sink: Sink): void {
    this.use(sink);
    this.#point(0);
    if (this.#isComplete && !this.flushing) this.endSink();
  }

  /**
   * Sets the sink of a POST that is dispatched at once. Every event is stored before it is sent, the priming event
   * together with the first message.
   */
  beginAhead(sink: Sink, extra: AppendExtra, stored: (result: WriteResult) => void): void {
    this.use(sink);
    this.gather(extra, stored);
  }

  /**
   * `json`: `undefined`: the stream completes without another message, because its request was cancelled, or its session
   * ends. `last`: the stream is complete with this message. `unmark`: the marker of the request that this answers.
   */
  send(json: string | undefined, last = false, unmark?: Mark): void {
    if (this.#isComplete) return;
    this.#isComplete = last;
    if (this.log !== undefined) return this.store(this.log, json, last, unmark);
    if (json !== undefined) this.#sink?.message(json, undefined);
    if (last) this.endSink();
  }

  protected override room(bytes: number): Room {
    return this.#sink?.room?.(bytes);
  }

  protected override stored(json: string | undefined, last: boolean, offset: number): void {
    if (json === '') this.#point(offset);
    else if (json !== undefined && !this.#takes(json, offset)) this.#message(json, offset);
    if (last && !this.#reads) this.endSink();
  }

  /**
   * Ends the sink, or lets its response continue with the next owner. After an end its client resumes from the log,
   * or at the next owner. A client that does not resume gets an error: here instead of the answer, or from the session,
   * which is about to leave and then answers every running call.
   */
  protected override storingFailed(answered: boolean, why: 'fenced' | 'failed'): void {
    const { call } = this;
    const error = call === undefined ? undefined : this.log?.lostAnswer(call);
    if (error !== undefined && !this.#isComplete) return;
    if (error !== undefined && answered) this.#sink?.message(error, undefined);
    else if (why === 'fenced' && this.handOver()) return;
    this.endSink();
  }

  #message(json: string, offset: number): void {
    this.#sent = offset;
    this.#resumes = 0;
    this.#sink?.message(json, this.eventId(offset, ''));
  }

  /** Sends an event with only the id of `offset`, where the stream is logged. */
  #point(offset: number, retryMs = this.#pollMs, resumed = ''): void {
    const { log } = this;
    if (log === undefined) return;
    this.#sent = offset;
    this.#sink?.point(this.eventId(offset, resumed) ?? '', retryMs ?? log.options.retryMs, log.emptyData);
  }

  /** The sink continues at `from`, and gets that id as a new one. */
  #resumePoint({ offset, resumes }: ResumeFrom, retryMs: number | undefined): void {
    this.#point(offset, retryMs, resumeSuffix(resumes));
    this.#resumes = resumes + 1;
  }

  // ——— its sinks ———

  /** Whether the stream has a sink now that its client reads. */
  get hasOpenSink(): boolean {
    return this.#sink?.isOpen === true;
  }

  /** Whether a message that is no answer can reach the client: now, or when it resumes. */
  get carriesAll(): boolean {
    return this.logged || (this.hasOpenSink && this.#sink?.takes === 'events');
  }

  /**
   * Sets the sink; `done` is called when it ends. Of a GET stream the sink before it is parked: it gets no more
   * messages, and its response ends with that of the new sink.
   */
  use(sink: Sink, done?: () => void): void {
    if (this.#sink !== undefined) this.#replaceSink();
    this.#sink = sink;
    this.#sinkDone = done;
    this.#sent = -1;
    this.#resumes = 0;
    sink.listener = this;
  }

  #replaceSink(): void {
    const sink = this.#sink;
    if (this.key !== GET_STREAM || sink === undefined) return this.endSink();
    // Its first event may not be stored yet, and goes to the new sink.
    sink.sendHead();
    this.#parked = [...this.#parked, sink];
    this.#takeSink()?.();
    if (this.#parked.length > MOST_PARKED) this.#parked[0]?.end();
  }

  /** The present sink reads no more. Returns what to call once its response has ended. */
  #takeSink(): (() => void) | undefined {
    const done = this.#sinkDone;
    this.#sink = undefined;
    this.#sinkDone = undefined;
    return done;
  }

  /** Drops the response at once, because a session may outlive its sinks by hours. */
  sinkClosed(sink: Sink): void {
    if (this.#sink === sink) return this.#end();
    this.#parked = this.#parked.filter((parked) => parked !== sink);
  }

  /** Ends the sink cleanly; the stream continues. */
  endSink(): void {
    if (this.#sink !== undefined) this.#end(this.#sink);
  }

  #end(sink?: Sink): void {
    const done = this.#takeSink();
    sink?.end();
    const parked = this.#parked;
    this.#parked = NO_SINKS;
    for (const one of parked) one.end();
    done?.();
  }

  // ——— ends of a response before the end of the stream ———

  hostStopped(): void {
    this.endToResume(false);
  }

  /**
   * Ends the sink after its last id once more, so that its client resumes from there. `soon`: at once, because
   * another instance serves.
   */
  endToResume(soon: boolean): void {
    const { log } = this;
    const retryMs = soon && log !== undefined ? Math.min(SOON_MS, log.options.retryMs) : undefined;
    if (this.hasOpenSink && this.#sent >= 0) this.#resumePoint({ offset: this.#sent, resumes: this.#resumes }, retryMs);
    this.endSink();
  }

  /** The store is away: ends the sink if its client can resume, because another instance may have the answer. */
  endToResumeElsewhere(): void {
    const isHere = this.#sink?.isOpen === true && !this.#sink.isRelayed;
    if (isHere && this.#canResume && !this.#reads) this.endToResume(true);
  }

  /** Ends the response but not the stream, once its messages are stored: the client reconnects at once and resumes. */
  endFlushed(): void {
    if (this.logged && !this.#isComplete) this.#whenFlushed(() => this.endToResume(true));
  }

  /** Ends the response and each later one: the client comes back every `retryMs` until the stream is complete. */
  poll(retryMs = this.log?.options.retryMs): void {
    this.#pollMs = retryMs;
    this.#whenFlushed(() => this.endToResume(false));
  }

  /** Leaves the call to the next owner, which runs it again. A relayed sink continues there; any other resumes. */
  handOverFlushed(soon: boolean): void {
    this.#whenFlushed((sink) => (sink.isRelayed ? sink.handOver(true) : this.endToResume(soon)));
  }

  /** Calls `then` when every message so far is stored, if the present sink still reads. */
  #whenFlushed(then: (sink: Sink) => void): void {
    const sink = this.#sink;
    if (sink !== undefined) this.whenFlushed(() => sink === this.#sink && then(sink));
  }

  /**
   * A function that ends the present sink cleanly, if it still reads then: its client resumes at once. `undefined`:
   * this sink resumed at `from` after such an end.
   */
  laterEndToResume(from: ResumeFrom): (() => void) | undefined {
    const sink = this.#sink;
    const before = this.#cleanEnd;
    this.#cleanEnd = undefined;
    if (before?.offset === from.offset && before.resumes === from.resumes) return undefined;
    return () => {
      if (sink === undefined || this.#sink !== sink || this.#isComplete || this.#reads) return;
      this.#cleanEnd = { offset: this.#sent, resumes: this.#resumes + 1 };
      this.endToResume(true);
    };
  }

  /** Whether the client comes back after an end of the response, and has an id to resume from. */
  get #canResume(): boolean {
    return this.clientResumes && this.#sent >= 0;
  }

  /**
   * Another instance owns the session, and ends or runs again what ran here: the response continues with what the log
   * gets there. `false`: there is no sink, or it has no event id to continue from.
   */
  handOver(): boolean {
    const sink = this.#sink;
    if (sink?.isOpen !== true || sink.takes === 'answers') return false;
    if (!this.#canResume && !sink.isRelayed) return false;
    sink.handOver(true);
    return true;
  }

  // ——— resumes ———

  /** Whether a resumed sink reads the log. */
  get #reads(): boolean {
    return this.#held !== undefined;
  }

  /** Whether a resumed sink has this stored message from the log, or will get it after the log. */
  #takes(data: string, offset: number): boolean {
    this.#held?.push({ offset, data });
    return this.#reads || offset <= this.#replayed;
  }

  /**
   * Resumes for a client that has every event up to `from.offset`. `open` makes its sink once the log has shown that
   * it can continue from there; otherwise this resolves to `false`. One resume at a time, so that no sink misses a
   * message that went to the sink before it.
   */
  resume(open: () => Sink, from: ResumeFrom, done?: () => void): Promise<boolean> {
    const resumed = (this.#last ?? Promise.resolve()).then(() => this.#resume(open, from, done));
    this.#last = resumed.catch(() => {});
    return resumed;
  }

  async #resume(open: () => Sink, from: ResumeFrom, done: (() => void) | undefined): Promise<boolean> {
    const { log } = this;
    if (log === undefined) return false;
    this.#held = [];
    let outcome: ReplayOutcome | undefined;
    try {
      outcome = await log.read(this.key, from.offset);
    } finally {
      if (outcome?.found !== true || from.offset >= outcome.next) this.#sendHeld(-1);
    }
    if (!outcome.found || from.offset >= outcome.next) return false;
    // The new sink takes over, in one turn with the events of the log.
    const sink = open();
    this.use(sink, done);
    this.#resumePoint(from, this.#isComplete ? log.options.retryMs : undefined);
    this.#replayed = from.offset;
    for (const { offset, data } of outcome.events) {
      this.#replayed = offset;
      if (data !== '') this.#message(data, offset);
    }
    this.#sendHeld(this.#replayed);
    // A poll also takes the messages that were being stored when it came.
    if (this.#pollMs !== undefined) this.#whenFlushed(() => this.#isComplete || this.endSink());
    return true;
  }

  /** Sends the held messages past `after`, and stops holding. Ends the sink of a stream that is complete by now. */
  #sendHeld(after: number): void {
    const sink = this.#sink;
    const held = this.#held;
    this.#held = undefined;
    for (const { offset, data } of held ?? []) {
      if (offset > after && sink === this.#sink) this.#message(data, offset);
    }
    if (this.isStored) this.endSink();
  }
}
