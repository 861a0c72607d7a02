/**
 * One stream of messages to a client: a POST's stream ends with the last answer, the GET stream lives as long as its
 * session. A *logged* stream gives every message an offset and stores it before it is sent, so its reader can
 * disconnect and resume. The messages of an unlogged stream reach only the present reader.
 *
 * Resuming: new messages are held back while the log is read. The new sink gets the events of the log, and then the
 * held messages by offset. So no message is missing and none comes twice, however slow the store is.
 *
 * The newest reader of a GET stream gets its messages. An earlier reader is *parked*: its response stays open, with
 * comments only, until the newest reader ends. Often the connection of a parked reader is dead. If it is alive, both
 * readers belong to one client. Ending the parked response would make that client reconnect and end the newer response,
 * and so on in turn.
 *
 * What a crash leaves: the stored events, and a stream that is not complete. The next owner of the session ends it.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { MaybePromise, LoggedEvent, ReplayOutcome } from '../stores/store.ts';
import type { Sink, SinkListener } from '../http/sink.ts';
import { follow, type Transitions } from '../options/transitions.ts';
import { callSuffix, GET_STREAM, resumeSuffix } from './event-id.ts';
import type { AnsweredCall, AppendExtra, StreamLog, WriteResult } from './stream-log.ts';
import { StreamWriter, type Written } from './stream-writer.ts';

/** The `retry:` before an end after which the client should reconnect at once. */
const SOON_MS = 100;
/** Parked readers of one GET stream. Beyond this number the oldest ends. */
const MOST_PARKED = 3;

/** `complete`: its last message was accepted. `stored`: the log holds that message too. */
type StreamEnd = 'open' | 'complete' | 'stored';

const ENDS: Transitions<StreamEnd> = { open: ['complete'], complete: ['stored'], stored: [] };

/** The requests that a POST's stream answers. */
export interface PostedRequests {
  /** A JSON answer carries nothing but answers. */
  readonly answersOnly: boolean;
  readonly requests: number;
  /** The only request. */
  readonly call: AnsweredCall | undefined;
}

/** Of a GET stream. */
const NONE: PostedRequests = { answersOnly: false, requests: 0, call: undefined };

export class Stream implements SinkListener, Written {
  readonly key: string;
  /** The only request that the stream answers. */
  readonly #call: AnsweredCall | undefined;
  #callSuffix: string | undefined = undefined;
  #log: StreamLog | undefined;
  readonly #writer: StreamWriter | undefined;
  /** The marker of its call could not be stored at the first try. */
  #markDelayed = false;
  readonly #requests: number;
  /** Answers that are still to come. */
  #awaited: number;
  /** A JSON answer carries nothing but answers. */
  readonly answersOnly: boolean;
  #sink: Sink | undefined;
  #readerDone: (() => void) | undefined;
  /** Earlier readers of a GET stream, oldest first. */
  #parked: Sink[] = NO_SINKS;
  /** The last offset sent to the present reader, and how often a reader resumed from it. */
  #sent = -1;
  #resumes = 0;
  /** Where a reader was ended on purpose, in the form in which it resumes. */
  #cleanEnd: ResumeFrom | undefined = undefined;
  /** The present reader will be ended early, and should reconnect soon. */
  #closing = false;
  /** Messages that arrive while a resumed reader reads the log. */
  #held: LoggedEvent[] | undefined;
  /**
   * The last offset that a resumed reader got from the log. The store may acknowledge the write of that event later.
   */
  #replayed = -1;
  #resuming: Promise<void> | undefined;
  #end: StreamEnd = 'open';
  /** The first event is not stored yet. If storing it fails, the caller of `beginEarly` ends the reader. */
  #primingPending = false;

  constructor(
    key: string,
    log: StreamLog | undefined,
    next = 0,
    { answersOnly, requests, call }: PostedRequests = NONE,
  ) {
    this.key = key;
    this.#call = call;
    this.#log = log;
    this.#writer = log === undefined ? undefined : new StreamWriter(key, log, this, next);
    this.answersOnly = answersOnly;
    this.#requests = requests;
    this.#awaited = requests;
  }

  /** Counts one of the answers that the stream awaits. `true`: it was the last. */
  countAnswer(): boolean {
    this.#awaited -= 1;
    return this.#awaited === 0;
  }

  get logged(): boolean {
    return this.#log !== undefined;
  }

  /** The session ended: later messages reach only the present reader. */
  abandonLog(): void {
    this.#writer?.endTurn();
    this.#log = undefined;
  }

  #endAs(next: StreamEnd): void {
    this.#end = follow(ENDS, this.#end, next);
  }

  get complete(): boolean {
    return this.#end !== 'open';
  }

  /** Whether the stream has a reader now. */
  get read(): boolean {
    return this.#sink !== undefined && this.#sink.open;
  }

  /**
   * Whether the next owner of the session can answer the call: its reader is at another instance, or its client resumes
   * a stream that ended (`clientResumes`).
   */
  canHandOn(clientResumes: boolean): boolean {
    const resumes = clientResumes && this.#log !== undefined;
    return this.#requests === 1 && !this.complete && (resumes || this.#sink?.isRelayed === true);
  }

  /** Whether the reader left, so that only a resume reaches the client. */
  get isUnread(): boolean {
    return this.#log !== undefined && !this.read;
  }

  /** Whether a message sent now can reach the client, now or by resuming. */
  get reachable(): boolean {
    return this.#log !== undefined || this.read;
  }

  /** Sets the reader; `done` is called when it ends. The caller has detached or parked the reader before it. */
  use(sink: Sink, done?: () => void): void {
    this.#sink = sink;
    this.#sent = -1;
    this.#resumes = 0;
    this.#closing = false;
    this.#readerDone = done;
    sink.listener = this;
  }

  /** Drops the response at once, because a session may outlive its readers by hours. */
  sinkDone(sink: Sink): void {
    if (this.#sink !== sink) {
      if (this.#parked.length > 0) this.#parked = this.#parked.filter((parked) => parked !== sink);
      return;
    }
    const done = this.#readerDone;
    this.#sink = undefined;
    this.#readerDone = undefined;
    this.#endParked();
    done?.();
  }

  /** Sets the reader of a POST. Its priming event is stored already, and is sent first. */
  begin(sink: Sink): void {
    this.use(sink);
    this.#prime(0, this.#log?.retryMs ?? 0);
  }

  #prime(offset: number, retryMs: number, resumed = ''): void {
    const log = this.#log;
    if (log === undefined) return;
    this.#sent = offset;
    this.#sink?.prime(this.#eventId(offset, resumed) ?? '', retryMs, log.emptyData);
  }

  /** `undefined`: the stream is not logged. */
  #eventId(offset: number, resumed = ''): string | undefined {
    const call = (this.#callSuffix ??= suffixOf(this.#call));
    return this.#log?.eventId(this.key, offset, resumed === '' ? call : call + resumed);
  }

  #message(json: string, offset: number): void {
    this.#sent = offset;
    this.#resumes = 0;
    this.#sink?.message(json, this.#eventId(offset));
  }

  /**
   * Sets the reader of a POST that is dispatched at once. Every event is stored before it is sent, the priming event
   * together with the first message.
   */
  beginEarly(sink: Sink, extra: AppendExtra, primed: (result: WriteResult) => void): void {
    this.#primingPending = true;
    this.use(sink);
    this.#writer?.open(extra, primed);
  }

  /** The turn of the event loop ends, and the response of the reader has not begun. */
  endTurn(): void {
    this.#writer?.endTurn();
  }

  /**
   * Stores the first event before any request runs. It opens the stream in the log. A failure is not retried after
   * `waitMs`.
   */
  prime(extra?: AppendExtra): MaybePromise<WriteResult> {
    return this.#log === undefined ? 'written' : (this.#writer?.write('', false, extra, true) ?? 'written');
  }

  /** Stores an event with only an id, and sends it to the reader. */
  resumePoint(): MaybePromise<WriteResult> {
    return this.#log === undefined ? 'written' : (this.#writer?.write('', false) ?? 'written');
  }

  /**
   * `last`: the stream is complete with this message, and ends. `unmark`: the request this answers, if it was marked.
   */
  send(json: string, last = false, unmark?: string): void {
    if (this.complete) return;
    if (last) this.#endAs('complete');
    const log = this.#log;
    if (log === undefined) {
      this.#sink?.message(json, undefined);
      if (last) this.#endSink();
      return;
    }
    this.#writer?.send(json, last, unmark);
  }

  /** Sends a stored event to the reader; `''` is a priming event. */
  stored(json: string | undefined, offset: number, last: boolean): void {
    this.#primingPending = false;
    if (last) this.#endAs('stored');
    if (json === '') return this.#prime(offset, this.#closing ? this.#soonMs : (this.#log?.retryMs ?? 0));
    if (json !== undefined && this.#held !== undefined) this.#held.push({ offset, data: json });
    else if (json !== undefined && offset > this.#replayed) this.#message(json, offset);
    if (last && this.#held === undefined) this.#endSink();
  }

  /**
   * Ends the reader, or lets its response continue with the next owner. After an end its client resumes from the log,
   * or at the next owner. A client that does not resume gets an error: here instead of the answer, or from the session,
   * which is about to leave and then answers every running call.
   */
  lost(answered: boolean, why: 'fenced' | 'failed'): void {
    if (this.#primingPending) return;
    const error = this.#call === undefined ? undefined : this.#log?.lostAnswer(this.#call);
    if (error !== undefined && !this.complete) return;
    if (error !== undefined && answered) this.#sink?.message(error, undefined);
    else if (why === 'fenced' && this.continueElsewhere()) return;
    this.#endSink();
  }

  room(): Promise<void> | undefined {
    return this.#sink?.room?.();
  }

  noteDelay(): void {
    this.#markDelayed = true;
  }

  /** Whether the store was away at the first try of some write. */
  get delayed(): boolean {
    return this.#markDelayed || this.#writer?.delayed === true;
  }

  get everLogged(): boolean {
    return this.#writer !== undefined;
  }

  /** Whether the log holds the end of the stream, or never held the stream. */
  get settled(): boolean {
    return this.#end === 'stored' || !this.everLogged;
  }

  /** Completes the stream without another message: its request was cancelled, or its session ends. */
  finish(unmark?: string): void {
    if (this.complete) return;
    this.#endAs('complete');
    if (this.#log === undefined) return this.#endSink();
    this.#writer?.send(undefined, true, unmark);
  }

  get #soonMs(): number {
    return Math.min(SOON_MS, this.#log?.retryMs ?? SOON_MS);
  }

  /** Ends the response but not the stream. The last event makes the client reconnect at once and resume. */
  closeEarly(): void {
    if (this.#log === undefined || this.complete) return;
    this.#atResumePoint(true, () => this.#endSink());
  }

  /**
   * Leaves the call to the next owner, which runs it again. A reader at another instance continues there; any other
   * reader resumes.
   */
  handOn(soon: boolean): void {
    this.#atResumePoint(soon, (sink) => {
      if (sink.isRelayed === true) sink.handOn?.(undefined);
      else this.#endSink();
    });
  }

  /**
   * Another instance owns the session, and ends or runs again what ran here: the response continues with what the log
   * gets there. `false`: there is no reader, or it has no event id to continue from.
   */
  continueElsewhere(): boolean {
    const sink = this.#sink;
    if (sink?.open !== true || sink.handOn === undefined) return false;
    const resumes = this.#log?.emptyData === true && this.#sent >= 0;
    if (!resumes && sink.isRelayed !== true) return false;
    sink.handOn(resumes ? this.#eventId(this.#sent) : undefined);
    return true;
  }

  /** Calls `then` once the reader has an id to resume from. `soon`: the event asks it to reconnect at once. */
  #atResumePoint(soon: boolean, then: (sink: Sink) => void): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    this.#closing = soon;
    const done = this.resumePoint();
    const still = (): void => {
      if (this.#sink === sink) then(sink);
    };
    if (done instanceof Promise) void done.then(still);
    else still();
  }

  /** Whether a sent message is not stored yet. */
  get flushing(): boolean {
    return this.#writer?.busy === true;
  }

  /** Resolves when every message so far is stored. */
  async flushed(): Promise<void> {
    await this.#writer?.settled();
  }

  whenFlushed(then: () => void): void {
    if (this.#writer === undefined) then();
    else this.#writer.whenSettled(then);
  }

  /** Ends the reader cleanly; the stream continues. */
  detach(): void {
    this.#endSink();
  }

  /**
   * A function that ends the present reader cleanly, if it still reads then: its client resumes at once. `undefined`:
   * this reader resumed at `from` after such an end.
   */
  cleanEnd(from: ResumeFrom): (() => void) | undefined {
    const sink = this.#sink;
    const before = this.#cleanEnd;
    this.#cleanEnd = undefined;
    if (before?.offset === from.offset && before.resumes === from.resumes) return undefined;
    return () => {
      if (sink === undefined || this.#sink !== sink || this.complete || this.#held !== undefined) return;
      this.#cleanEnd = { offset: this.#sent, resumes: this.#resumes + 1 };
      this.handOver(true);
    };
  }

  /**
   * Ends the reader of a session that leaves this instance. `soon`: another instance serves, so the client need not
   * wait.
   */
  handOver(soon: boolean): void {
    const log = this.#log;
    if (log !== undefined && this.#sink?.open === true && this.#sent >= 0)
      this.#prime(this.#sent, soon ? this.#soonMs : log.retryMs, resumeSuffix(this.#resumes));
    this.#endSink();
  }

  /** Parks the present reader: it gets no more messages, and its response ends with that of the next reader. */
  park(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    const done = this.#readerDone;
    this.#sink = undefined;
    this.#readerDone = undefined;
    this.#parked = [...this.#parked, sink];
    if (this.#parked.length > MOST_PARKED) this.#parked[0]?.end();
    done?.();
  }

  #endParked(): void {
    const parked = this.#parked;
    this.#parked = NO_SINKS;
    for (const sink of parked) sink.end();
  }

  /**
   * Resumes for a reader that has every event up to `from.offset`. `open` makes its sink once the log has shown that it
   * can continue from there; otherwise this resolves to `false`. One resume at a time, so that no reader misses a
   * message that went to the reader before it.
   */
  resume(open: () => Sink, from: ResumeFrom, done?: () => void): Promise<boolean> {
    const resumed = (this.#resuming ?? Promise.resolve()).then(() => this.#resume(open, from, done));
    const clear = (): void => {
      if (this.#resuming === settled) this.#resuming = undefined;
    };
    const settled: Promise<void> = resumed.then(clear, clear);
    this.#resuming = settled;
    return resumed;
  }

  async #resume(open: () => Sink, from: ResumeFrom, done: (() => void) | undefined): Promise<boolean> {
    const { offset: after, resumes } = from;
    const log = this.#log;
    if (log === undefined) return false;
    this.#held = [];
    let outcome: ReplayOutcome | undefined;
    try {
      outcome = await log.read(this.key, after);
    } finally {
      if (outcome?.found !== true || after >= outcome.next) this.#release(this.#sink, -1);
    }
    if (!outcome.found || after >= outcome.next) return false;
    if (this.key === GET_STREAM) this.park();
    else this.#endSink();
    const sink = open();
    this.use(sink, done);
    this.#prime(after, log.retryMs, resumeSuffix(resumes));
    this.#resumes = resumes + 1;
    this.#replayed = after;
    for (const { offset, data } of outcome.events) {
      this.#replayed = offset;
      if (data !== '') this.#message(data, offset);
    }
    this.#release(sink, this.#replayed);
    return true;
  }

  /**
   * Sends the held messages past `after`, and stops holding. Ends the reader if the stream was completed in the
   * meantime.
   */
  #release(sink: Sink | undefined, after: number): void {
    const held = this.#held;
    this.#held = undefined;
    for (const { offset, data } of held ?? []) {
      if (offset > after && sink === this.#sink) this.#message(data, offset);
    }
    if (this.#end === 'stored') this.#endSink();
  }

  #endSink(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    const done = this.#readerDone;
    this.#sink = undefined;
    this.#readerDone = undefined;
    sink.end();
    this.#endParked();
    done?.();
  }
}

function suffixOf(call: AnsweredCall | undefined): string {
  return callSuffix(call?.id, call?.method === 'tools/call');
}

/** Where a reader left a stream, and how often a reader resumed from that position. */
export interface ResumeFrom {
  readonly offset: number;
  readonly resumes: number;
}

const NO_SINKS: Sink[] = [];

/** Sends to a reader of a complete stream the events that the log keeps after `from`, then the end. */
export function replayComplete(
  events: readonly LoggedEvent[],
  sink: Sink,
  from: ResumeFrom & { readonly stream: string; readonly call: RequestId | undefined; readonly isTool: boolean },
  log: StreamLog,
): void {
  const { stream } = from;
  const call = callSuffix(from.call, from.isTool);
  sink.prime(log.eventId(stream, from.offset, call + resumeSuffix(from.resumes)), log.retryMs, log.emptyData);
  for (const { offset, data } of events) {
    if (data !== '') sink.message(data, log.eventId(stream, offset, call));
  }
  sink.end();
}
