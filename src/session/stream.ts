/**
 * One stream of messages to a client: a POST's (it ends with the last answer) or the session's GET stream (it lives as
 * long as the session). A *logged* stream gives every message an offset and stores it before it is sent; its reader may go
 * away and come back (`attach`). An unlogged one reaches whoever reads now.
 *
 * Resuming: the new sink is attached first and holds back what comes, then the log is read, then what was held back
 * follows by offset. So nothing is missing and nothing comes twice, however slow the store is.
 *
 * A GET stream has one reader that gets its messages, the newest. An earlier reader is *parked*: its response stays open with
 * comments until the newest one ends. Often its connection is dead. Where it is not, both belong to one client, and ending it
 * would make that client come back, take over, and so end the newer one: two readers that end each other in turn.
 *
 * What a crash leaves: the stored events, and a stream that is not complete. Its next owner ends it.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { MaybePromise, LoggedEvent, ReplayOutcome } from '../stores/store.ts';
import type { Sink, SinkListener } from '../http/sink.ts';
import { callSuffix, GET_STREAM, resumeSuffix } from './event-id.ts';
import {
  type AnsweredCall,
  type AppendExtra,
  type StreamLog,
  StreamWriter,
  type WriteResult,
  type Written,
} from './stream-writer.ts';

/** `retry:` before an end after which the client is to come back at once. */
const SOON_MS = 100;
/** Of one GET stream; beyond it the oldest ends. */
const MOST_PARKED = 3;

export class Stream implements SinkListener, Written {
  readonly key: string;
  /** The request that it answers, where it is one. */
  readonly #call: AnsweredCall | undefined;
  #callSuffix: string | undefined = undefined;
  #log: StreamLog | undefined;
  readonly #writer: StreamWriter | undefined;
  /** The marker of its call could not be stored at the first try. */
  #markDelayed = false;
  /** Answers that are still to come; a GET stream never counts. */
  awaited = 0;
  /** How many requests it answers. */
  requests = 1;
  /** A JSON answer carries nothing but answers. */
  readonly answersOnly: boolean;
  #sink: Sink | undefined;
  #readerDone: (() => void) | undefined;
  /** Earlier readers of a GET stream, oldest first. */
  #parked: Sink[] = NO_SINKS;
  /** The last offset that the present reader was sent, and how often a reader came back for it. */
  #sent = -1;
  #resumes = 0;
  /** Where a reader was ended on purpose, as it comes back. */
  #cleanEnd: ResumeFrom | undefined = undefined;
  /** The present reader is about to be ended early. */
  #closing = false;
  /** While a resumed reader catches up. */
  #held: LoggedEvent[] | undefined;
  /** The last offset that a resumed reader was sent from the log: a write may be acknowledged after that. */
  #replayed = -1;
  #resuming: Promise<void> | undefined;
  /** Its last message was accepted, and then stored. */
  #complete = false;
  /** Its first event is not stored yet: what becomes of its reader, should that fail, is for whoever began it. */
  #unprimed = false;
  #lastStored = false;

  constructor(key: string, log: StreamLog | undefined, next = 0, answersOnly = false, call?: AnsweredCall) {
    this.key = key;
    this.#call = call;
    this.#log = log;
    this.#writer = log === undefined ? undefined : new StreamWriter(key, log, this, next);
    this.answersOnly = answersOnly;
  }

  get logged(): boolean {
    return this.#log !== undefined;
  }

  /** Its session ended: what is still sent reaches whoever reads now, and nobody later. */
  abandonLog(): void {
    this.#writer?.endTurn();
    this.#log = undefined;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** Whether somebody reads it now. */
  get read(): boolean {
    return this.#sink !== undefined && this.#sink.open;
  }

  /**
   * Whether the next owner of its session can answer its call. Its reader is at another instance, or its client resumes a
   * stream that ended (`clientResumes`).
   */
  canHandOn(clientResumes: boolean): boolean {
    const resumes = clientResumes && this.#log !== undefined;
    return this.requests === 1 && !this.#complete && (resumes || this.#sink?.isRelayed === true);
  }

  /** Its reader left: only a resume reaches the client. */
  get isUnread(): boolean {
    return this.#log !== undefined && !this.read;
  }

  /** Whether a message sent now can reach the client, now or by resuming. */
  get reachable(): boolean {
    return this.#log !== undefined || this.read;
  }

  /** A reader from here on; `done` is called when it is over. An earlier reader must have been detached. */
  use(sink: Sink, done?: () => void): void {
    this.#sink = sink;
    this.#sent = -1;
    this.#resumes = 0;
    this.#closing = false;
    this.#readerDone = done;
    sink.listener = this;
  }

  /** Lets go of the response at once: a session may outlive its readers by hours. */
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

  /** The reader of a POST, whose priming event was stored before it: the first thing it gets. */
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

  /** `undefined`: it is not logged. */
  #eventId(offset: number, resumed = ''): string | undefined {
    const call = (this.#callSuffix ??= suffixOf(this.#call));
    return this.#log?.eventId(this.key, offset, resumed === '' ? call : call + resumed);
  }

  #message(json: string, offset: number): void {
    this.#sent = offset;
    this.#resumes = 0;
    this.#sink?.message(json, this.#eventId(offset));
  }

  /** The reader of a POST that is dispatched at once: what it gets is stored before, its priming event with the first. */
  beginUnprimed(sink: Sink, extra: AppendExtra, primed: (result: WriteResult) => void): void {
    this.#unprimed = true;
    this.use(sink);
    this.#writer?.open(extra, primed);
  }

  /** Of the event loop, while its reader's answer is still to begin. */
  endTurn(): void {
    this.#writer?.endTurn();
  }

  /** Stores the first event, before anything runs: it opens the stream in the log. What fails then is not tried again. */
  prime(extra?: AppendExtra): MaybePromise<WriteResult> {
    return this.#log === undefined ? 'written' : (this.#writer?.write('', false, extra, true) ?? 'written');
  }

  /** Stores an event that carries nothing but an id, and sends it to whoever reads. */
  resumePoint(): MaybePromise<WriteResult> {
    return this.#log === undefined ? 'written' : (this.#writer?.write('', false) ?? 'written');
  }

  /** `last`: the stream is complete with this message, and ends. `unmark`: the request this answers, if it was marked. */
  send(json: string, last = false, unmark?: string): void {
    if (this.#complete) return;
    if (last) this.#complete = true;
    const log = this.#log;
    if (log === undefined) {
      this.#sink?.message(json, undefined);
      if (last) this.#endSink();
      return;
    }
    this.#writer?.send(json, last, unmark);
  }

  /** An event that is stored goes to whoever reads; `''` is a priming event. */
  stored(json: string | undefined, offset: number, last: boolean): void {
    this.#unprimed = false;
    if (last) this.#lastStored = true;
    if (json === '') return this.#prime(offset, this.#closing ? this.#soonMs : (this.#log?.retryMs ?? 0));
    if (json !== undefined && this.#held !== undefined) this.#held.push({ offset, data: json });
    else if (json !== undefined && offset > this.#replayed) this.#message(json, offset);
    if (last && this.#held === undefined) this.#endSink();
  }

  /**
   * Its reader comes back, and finds what the log holds, or the next owner. A client that does not come back gets an error: here
   * instead of the answer, or from the session, which is about to leave and then answers every running call.
   */
  lost(answered: boolean): void {
    if (this.#unprimed) return;
    const error = this.#call === undefined ? undefined : this.#log?.lostAnswer(this.#call);
    if (error !== undefined && !this.#complete) return;
    if (error !== undefined && answered) this.#sink?.message(error, undefined);
    this.#endSink();
  }

  noteDelay(): void {
    this.#markDelayed = true;
  }

  /** The store was away when something of it was written. */
  get delayed(): boolean {
    return this.#markDelayed || this.#writer?.delayed === true;
  }

  get everLogged(): boolean {
    return this.#writer !== undefined;
  }

  /** Whether the log holds its end, or it was never in the log. */
  get settled(): boolean {
    return this.#lastStored || !this.everLogged;
  }

  /** Complete without another message: its request was cancelled, or its session ends. */
  finish(unmark?: string): void {
    if (this.#complete) return;
    this.#complete = true;
    if (this.#log === undefined) return this.#endSink();
    this.#writer?.send(undefined, true, unmark);
  }

  get #soonMs(): number {
    return Math.min(SOON_MS, this.#log?.retryMs ?? SOON_MS);
  }

  /** Ends the response but not the stream: its last event makes the client come back at once, and resume. */
  closeEarly(): void {
    if (this.#log === undefined || this.#complete) return;
    this.#atResumePoint(true, () => this.#endSink());
  }

  /** The next owner runs its call again: a reader at another instance continues there, any other reader resumes. */
  handOn(soon: boolean): void {
    this.#atResumePoint(soon, (sink) => {
      if (sink.isRelayed === true) sink.handOn?.();
      else this.#endSink();
    });
  }

  /** Calls `then` once its reader has an id to come back with. `soon`: the event tells it to come back at once. */
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

  /** Something that was sent is still on its way into the store. */
  get flushing(): boolean {
    return this.#writer?.busy === true;
  }

  /** Resolves when what was sent so far is stored. */
  async flushed(): Promise<void> {
    await this.#writer?.settled();
  }

  whenFlushed(then: () => void): void {
    if (this.#writer === undefined) then();
    else this.#writer.whenSettled(then);
  }

  /** Ends the reader, cleanly; the stream continues. */
  detach(): void {
    this.#endSink();
  }

  /**
   * A function that ends the present reader cleanly, if it still reads then: its client resumes at once. `undefined`: this
   * reader came back after such an end, at `from`.
   */
  cleanEnd(from: ResumeFrom): (() => void) | undefined {
    const sink = this.#sink;
    const before = this.#cleanEnd;
    this.#cleanEnd = undefined;
    if (before?.offset === from.offset && before.resumes === from.resumes) return undefined;
    return () => {
      if (sink === undefined || this.#sink !== sink || this.#complete || this.#held !== undefined) return;
      this.#cleanEnd = { offset: this.#sent, resumes: this.#resumes + 1 };
      this.handOver(true);
    };
  }

  /** The same, of a session that leaves this instance. `soon`: another instance serves, so its client need not wait. */
  handOver(soon: boolean): void {
    const log = this.#log;
    if (log !== undefined && this.#sink?.open === true && this.#sent >= 0)
      this.#prime(this.#sent, soon ? this.#soonMs : log.retryMs, resumeSuffix(this.#resumes));
    this.#endSink();
  }

  /** The present reader gets no more messages; its response ends with that of the next reader. */
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
   * A reader that has seen everything up to `from.offset`; `open` makes its sink once the log can continue from there. Resolves
   * to `false` when it cannot. One at a time: a reader must not miss what went to the one before it.
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

  /** Sends what was held back past `after`, and stops holding; a stream that was completed meanwhile ends. */
  #release(sink: Sink | undefined, after: number): void {
    const held = this.#held;
    this.#held = undefined;
    for (const { offset, data } of held ?? []) {
      if (offset > after && sink === this.#sink) this.#message(data, offset);
    }
    if (this.#lastStored) this.#endSink();
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

/** Where a reader left a stream, and how often one came back for that position. */
export interface ResumeFrom {
  readonly offset: number;
  readonly resumes: number;
}

const NO_SINKS: Sink[] = [];

/** A reader of a stream that is complete: what the log keeps after `from`, then the end. */
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
