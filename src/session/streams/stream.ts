/**
 * One stream of messages to a client: a POST's stream ends with the last answer, the GET stream lives as long as its
 * session. A *logged* stream gives every message an offset and stores it before it is sent, so its sink can
 * disconnect and resume (`resuming.ts`). The messages of an unlogged stream reach only the present sink. A store in
 * this process takes an event at once. An event that must wait for its store is in the queue (`append-queue.ts`).
 *
 * The last message completes a stream. What a crash leaves: the stored events, and a stream that is not complete. The
 * next owner of the session ends it.
 */
import type { Mark, MaybePromise, WriteOutcome } from '../../stores/store.ts';
import type { Sink, SinkListener } from '../../http/sink.ts';
import { AppendQueue, carriedBy, type QueuedStream } from './append-queue.ts';
import { callSuffix, resumeSuffix } from './event-id.ts';
import { Resuming, type ResumedStream, type ResumeFrom } from './resuming.ts';
import type { AppendExtra, PostedRequest, PostedRequests, SessionEventLog, WriteResult } from './event-log.ts';

/** A GET stream answers no request. */
const NONE: PostedRequests = { answersOnly: false, requests: 0, call: undefined };

export class Stream implements SinkListener, QueuedStream, ResumedStream {
  readonly key: string;
  readonly #posted: PostedRequests;
  #callSuffix: string | undefined = undefined;
  #log: SessionEventLog | undefined;
  #queue: AppendQueue | undefined = undefined;
  #next: number;
  /** The store was away at the first try of some write of this stream, or of the marker of its call. */
  #delayed = false;
  /** Answers that are still to come. */
  #awaited: number;
  #isComplete = false;
  #sink: Sink | undefined = undefined;
  #sinkDone: (() => void) | undefined = undefined;
  /** The last offset sent to the present sink, and how often a sink resumed from it. */
  #sent = -1;
  #resumes = 0;
  #resuming: Resuming | undefined = undefined;

  constructor(key: string, log: SessionEventLog | undefined, next = 0, posted = NONE) {
    this.key = key;
    this.#log = log;
    this.#next = next;
    this.#posted = posted;
    this.#awaited = posted.requests;
  }

  // ——— how far it has come ———

  /** The last message of the stream was accepted. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The log has all of it. */
  get isStored(): boolean {
    return this.#isComplete && this.logged && !this.flushing && this.#queue?.outcome === undefined;
  }

  /** The number of stored events. */
  get next(): number {
    return this.#next;
  }

  get answersOnly(): boolean {
    return this.#posted.answersOnly;
  }

  get request(): PostedRequest | undefined {
    return this.#posted.call;
  }

  /** The request of one of its calls. */
  requestOf(id: PostedRequest['id'] | undefined): PostedRequest | undefined {
    const { call, batch } = this.#posted;
    return batch === undefined ? call : batch.find((request) => request.id === id);
  }

  get log(): SessionEventLog | undefined {
    return this.#log;
  }

  get logged(): boolean {
    return this.#log !== undefined;
  }

  /** Counts one of the answers that the stream awaits. `true`: it was the last. */
  countAnswer(): boolean {
    return (this.#awaited -= 1) === 0;
  }

  /** Whether its client comes back after an end of the response. Clients of earlier revisions do not. */
  get clientResumes(): boolean {
    return this.#log?.emptyData === true;
  }

  /**
   * Whether the next owner of the session can answer the call: its sink is at another instance, or its client comes
   * back.
   */
  get canHandOver(): boolean {
    const isReached = this.clientResumes || this.#sink?.isRelayed === true;
    return this.#posted.requests === 1 && !this.#isComplete && isReached;
  }

  noteDelay(): void {
    this.#delayed = true;
  }

  get delayed(): boolean {
    return this.#delayed;
  }

  /** The session ended: later messages reach only the present sink. */
  stopLogging(): void {
    this.endTurn();
    this.#log = undefined;
  }

  // ——— its messages ———

  /** Sets the sink of a POST. Its priming event is stored already, and is sent first. */
  begin(sink: Sink): void {
    this.use(sink);
    this.#point(0);
  }

  /**
   * Sets the sink of a POST that is dispatched at once. Every event is stored before it is sent, the priming event
   * together with the first message.
   */
  beginAhead(sink: Sink, extra: AppendExtra, stored: (result: WriteResult) => void): void {
    this.use(sink);
    if (this.#log !== undefined) this.#queueIn(this.#log).gather(extra, stored);
  }

  /** Its requests run, and its first event is not stored yet. */
  get runsAhead(): boolean {
    return this.#queue?.isAhead === true;
  }

  /** The turn of the event loop ends, and the response of the sink has not begun. */
  endTurn(): void {
    this.#queue?.endTurn();
  }

  /**
   * Stores an event with only an id, and sends it to the sink. `opens`: no request runs before the event has opened
   * the stream in the log, and a failure is not retried after `waitMs`.
   */
  storePoint(opens = false, extra?: AppendExtra): MaybePromise<WriteResult> {
    if (this.#log === undefined) return 'written';
    if (this.#queue?.outcome !== undefined) return this.#queue.outcome;
    const outcome = this.#append(this.#log, '', false, extra);
    if (outcome === 'written') return outcome;
    const queue = this.#queueIn(this.#log);
    return new Promise((tell) => {
      if (opens) queue.open();
      queue.add('', false, extra, outcome, tell);
    });
  }

  /** `last`: the stream is complete with this message. `unmark`: the marker of the request that this answers. */
  send(json: string, last = false, unmark?: Mark): void {
    if (this.#isComplete) return;
    this.#isComplete = last;
    if (this.#log !== undefined) return this.#store(this.#log, json, last, unmark);
    this.#sink?.message(json, undefined);
    if (last) this.endSink();
  }

  /** Completes the stream without another message: its request was cancelled, or its session ends. */
  complete(unmark?: Mark): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    if (this.#log !== undefined) this.#store(this.#log, undefined, true, unmark);
    else this.endSink();
  }

  #queueIn(log: SessionEventLog): AppendQueue {
    return (this.#queue ??= new AppendQueue(this, log));
  }

  #store(log: SessionEventLog, json: string | undefined, last: boolean, unmark: Mark | undefined): void {
    const extra = unmark === undefined ? undefined : { unmark };
    const waits = this.#queue?.outcome !== undefined || this.room() !== undefined;
    const outcome = waits ? undefined : this.#append(log, json, last, extra);
    if (outcome !== 'written') this.#queueIn(log).add(json, last, extra, outcome);
  }

  /** `undefined`: the event must wait for the events before it. */
  #append(
    log: SessionEventLog,
    json: string | undefined,
    last: boolean,
    extra: AppendExtra | undefined,
  ): MaybePromise<WriteOutcome> | undefined {
    if (this.flushing) return undefined;
    const carried = extra === undefined ? undefined : carriedBy(extra, extra, last);
    const outcome = log.append(this.key, this.#next, json === undefined ? [] : [json], last, carried);
    if (outcome === 'written') this.stored(json, last);
    return outcome;
  }

  room(): Promise<void> | undefined {
    return this.#sink?.room();
  }

  /** Sends a stored event to the sink. `''`: it has only an id. */
  stored(json: string | undefined, last: boolean): void {
    const offset = this.#next;
    if (json !== undefined) this.#next += 1;
    if (json === '') this.#point(offset);
    else if (json !== undefined && this.#resuming?.takes(json, offset) !== true) this.message(json, offset);
    if (last && this.#resuming?.reads !== true) this.endSink();
  }

  /**
   * Ends the sink, or lets its response continue with the next owner. After an end its client resumes from the log,
   * or at the next owner. A client that does not resume gets an error: here instead of the answer, or from the session,
   * which is about to leave and then answers every running call.
   */
  storingFailed(answered: boolean, why: 'fenced' | 'failed'): void {
    const { request: call } = this;
    const error = call === undefined ? undefined : this.#log?.lostAnswer(call);
    if (error !== undefined && !this.#isComplete) return;
    if (error !== undefined && answered) this.#sink?.message(error, undefined);
    else if (why === 'fenced' && this.handOver()) return;
    this.endSink();
  }

  /** Whether a sent message is not stored yet. */
  get flushing(): boolean {
    return this.#queue?.busy === true;
  }

  /** Resolves when every message so far is stored. */
  flushed(): Promise<void> {
    return new Promise((resolve) => this.whenFlushed(resolve));
  }

  whenFlushed(then: () => void): void {
    if (this.#queue === undefined) then();
    else this.#queue.whenEmpty(then);
  }

  // ——— its sink ———

  get sink(): Sink | undefined {
    return this.#sink;
  }

  /** The last event of the present sink. */
  get position(): ResumeFrom {
    return { offset: this.#sent, resumes: this.#resumes };
  }

  hostStopped(): void {
    this.resuming.endToResume(false);
  }

  /** Whether the stream has a sink now. */
  get hasOpenSink(): boolean {
    return this.#sink?.isOpen === true;
  }

  /** Sets the sink; `done` is called when it ends. The caller has detached or parked the sink before it. */
  use(sink: Sink, done?: () => void): void {
    this.#sink = sink;
    this.#sinkDone = done;
    this.#sent = -1;
    this.#resumes = 0;
    sink.listener = this;
  }

  /** The present sink reads no more. Returns what to call once its response has ended. */
  takeSink(): (() => void) | undefined {
    const done = this.#sinkDone;
    this.#sink = undefined;
    this.#sinkDone = undefined;
    return done;
  }

  /** Drops the response at once, because a session may outlive its sinks by hours. */
  sinkClosed(sink: Sink): void {
    if (this.#sink !== sink) return this.#resuming?.forget(sink);
    const done = this.takeSink();
    this.#resuming?.endParked();
    done?.();
  }

  /** Ends the sink cleanly; the stream continues. */
  endSink(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    const done = this.takeSink();
    sink.end();
    this.#resuming?.endParked();
    done?.();
  }

  message(json: string, offset: number): void {
    this.#sent = offset;
    this.#resumes = 0;
    this.#sink?.message(json, this.#eventId(offset, ''));
  }

  /** Sends an event with only the id of `offset`, where the stream is logged. */
  #point(offset: number, retryMs = this.#resuming?.retryMs, resumed = ''): void {
    const log = this.#log;
    if (log === undefined) return;
    this.#sent = offset;
    this.#sink?.point(this.#eventId(offset, resumed) ?? '', retryMs ?? log.retryMs, log.emptyData);
  }

  /** `undefined`: the stream is not logged. */
  #eventId(offset: number, resumed: string): string | undefined {
    const { call } = this.#posted;
    const suffix = (this.#callSuffix ??= callSuffix(call?.id, call?.method === 'tools/call'));
    return this.#log?.eventId(this.key, offset, resumed === '' ? suffix : suffix + resumed);
  }

  /** The sink continues at `from`, and gets that id as a new one. */
  resumePoint(from: ResumeFrom, retryMs: number): void {
    this.#point(from.offset, retryMs, resumeSuffix(from.resumes));
    this.#resumes = from.resumes + 1;
  }

  /** How responses end before the stream does, and clients come back. */
  get resuming(): Resuming {
    return (this.#resuming ??= new Resuming(this));
  }

  /** Whether the client comes back after an end of the response, and has an id to resume from. */
  get canResume(): boolean {
    return this.clientResumes && this.#sent >= 0;
  }

  /**
   * Another instance owns the session, and ends or runs again what ran here: the response continues with what the log
   * gets there. `false`: there is no sink, or it has no event id to continue from.
   */
  handOver(): boolean {
    const sink = this.#sink;
    if (sink?.isOpen !== true || sink.takes === 'answers') return false;
    if (!this.canResume && !sink.isRelayed) return false;
    sink.handOver(true);
    return true;
  }
}
