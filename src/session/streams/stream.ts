/**
 * One stream of messages to a client: a POST's stream ends with the last answer, the GET stream lives as long as its
 * session. A *logged* stream gives every message an offset and stores it before it is sent: its sink can disconnect and
 * resume. A store in this process takes an event at once; else it waits (`waiting-writes.ts`). The messages of an
 * unlogged stream reach only the present sink.
 *
 * The last message completes a stream. What a crash leaves: the stored events, and a stream that is not complete. The
 * next owner of the session ends it.
 *
 * The stream knows what is stored, and its reader what it has (`reader.ts`); a reader that comes back reads the log
 * first (`resumes.ts`).
 */
import type { Room, Sink, SinkListener } from '../../http/sink.ts';
import type { Mark, MaybePromise, WriteOutcome } from '../../stores/store.ts';
import { callSuffix, GET_STREAM } from './event-id.ts';
import {
  type AppendExtra,
  mayWait,
  type AwaitedRequest,
  type AwaitedRequests,
  type SessionEventLog,
  type WriteResult,
} from './event-log.ts';
import { Reader } from './reader.ts';
import { Resumes } from './resumes.ts';
import { WaitingWrites, weightOf, type WaitingWrite } from './waiting-writes.ts';
import { callsTool } from '../../base/protocol/methods.ts';

export class Stream implements SinkListener {
  readonly key: string;
  readonly #requests: AwaitedRequests;
  readonly #suffix: string;
  /** `undefined`: the stream is not logged. */
  log: SessionEventLog | undefined;
  /** The offset of its next event. */
  next: number;
  /** Answers that are still to come: the last one completes the stream. */
  #awaited: number;
  /** Why nothing is stored any more. */
  #lost: 'fenced' | 'failed' | undefined = undefined;
  #delayed = false;
  /** Has the sink that its client reads now. */
  reader: Reader | undefined = undefined;
  /** The client polls: no response stays open until the stream is complete. ms between its polls. */
  pollMs: number | undefined = undefined;
  #writes: WaitingWrites | undefined = undefined;
  #resumes: Resumes | undefined = undefined;

  constructor(
    key: string,
    log: SessionEventLog | undefined,
    next = 0,
    requests: AwaitedRequests = [],
  ) {
    this.key = key;
    this.#requests = requests;
    this.log = log;
    this.next = next;
    this.#awaited = key === GET_STREAM ? Infinity : requests.length;
    const call = this.#call;
    this.#suffix = log === undefined ? '' : callSuffix(call?.id, callsTool(call?.method));
  }

  // ——— how far it has come ———

  /** The last message of the stream was accepted. */
  get isComplete(): boolean {
    return this.#awaited === 0;
  }

  /** The log has all of it. */
  get isStored(): boolean {
    return this.isComplete && this.logged && !this.flushing && this.#lost === undefined;
  }

  get logged(): boolean {
    return this.log !== undefined;
  }

  /** Whether an event waits for the store. */
  get flushing(): boolean {
    return this.#writes !== undefined;
  }

  /** Its request runs, although its first event is not stored. */
  get runsAhead(): boolean {
    return this.#writes?.runsAhead === true;
  }

  /** The store was away at the first try of some write of this stream, or of the marker of its call. */
  get delayed(): boolean {
    return this.#delayed;
  }

  noteDelay(): void {
    this.#delayed = true;
  }

  /** Whether its client comes back after an end of the response. Clients of earlier revisions do not. */
  get clientResumes(): boolean {
    return this.log?.clientResumes === true;
  }

  /**
   * Whether the next owner of the session can answer the call: its sink is at another instance, or its client comes
   * back.
   */
  get canHandOver(): boolean {
    const isReached = this.clientResumes || this.reader?.sink.isRelayed === true;
    return this.#call !== undefined && !this.isComplete && isReached;
  }

  /** Its only request. */
  get #call(): AwaitedRequest | undefined {
    return this.#requests.length === 1 ? this.#requests[0] : undefined;
  }

  /** The request of one of its calls. */
  requestOf(id: AwaitedRequest['id'] | undefined): AwaitedRequest | undefined {
    return this.#call ?? this.#requests.find((request) => request?.id === id);
  }

  /** `undefined`: the stream is not logged. `resumed`: made by `resumeSuffix`. */
  eventId(offset: number, resumed = ''): string | undefined {
    return this.log?.eventId(this.key, offset, this.#suffix + resumed);
  }

  // ——— its messages ———

  /** A message that answers none of its requests. */
  send(json: string): void {
    if (!this.isComplete) this.#write(json, false);
  }

  /**
   * One of its requests ends. `json`: its answer; `undefined`: it gets none, because it was cancelled or its session
   * ends. `unmark`: the marker that goes with the last answer.
   */
  answer(json: string | undefined, unmark: Mark | undefined): void {
    if (this.isComplete) return;
    this.#awaited -= 1;
    if (json !== undefined || this.isComplete)
      this.#write(json, this.isComplete, unmark && { unmark });
  }

  /** `json`: `undefined`: the stream completes without another message. */
  #write(json: string | undefined, last: boolean, extra?: AppendExtra): void {
    const log = this.log;
    if (log !== undefined) return this.#store(log, { json, last, extra, held: weightOf(json) });
    if (json !== undefined) this.reader?.sink.message(json, undefined);
    if (last) this.endSink();
  }

  /** Stores an event with only an id, and sends it to the sink. */
  storePoint(extra?: AppendExtra): MaybePromise<WriteResult> {
    const log = this.log;
    if (log === undefined) return 'written';
    if (this.#lost !== undefined) return this.#lost;
    const point: WaitingWrite = { json: '', last: false, extra, held: 0 };
    const begun = this.#append(log, point);
    if (begun === 'written') return begun;
    return new Promise((tell) => this.#wait(log, { ...point, tell }, begun));
  }

  #store(log: SessionEventLog, write: WaitingWrite): void {
    const { json, last, held } = write;
    if (this.#lost !== undefined) {
      if (last) this.#storingFailed(json !== undefined, this.#lost);
      return;
    }
    if (held > 0 && this.#writes?.skips === true) return;
    if (held > 0 && !log.hold(held)) return this.#overflow(log, { ...write, held: 0 });
    const room = this.room(json?.length ?? 0);
    const begun = room === undefined ? this.#append(log, write) : undefined;
    // The event asks again when it is its turn.
    if (typeof room === 'function') room();
    if (begun === 'written') log.release(held);
    else this.#wait(log, write, begun);
  }

  /** `undefined`: the event must wait for the events before it. */
  #append(log: SessionEventLog, write: WaitingWrite): MaybePromise<WriteOutcome> | undefined {
    if (this.#writes !== undefined) return undefined;
    const { json, last, extra } = write;
    const outcome = log.append(
      this.key,
      this.next,
      json === undefined ? [] : [json],
      last,
      extra,
      extra,
    );
    if (outcome === 'written') this.stored(write);
    return outcome;
  }

  /** An event is stored: its reader gets it now, or after a resume has read the log. `''`: it has only an id. */
  stored({ json, last }: WaitingWrite): void {
    const offset = this.next;
    if (json !== undefined) this.next += 1;
    const held = this.#resumes?.held;
    if (json !== undefined && held !== undefined) held.push({ offset, data: json });
    else if (json !== undefined) this.reader?.take(json, offset);
    if (last && held === undefined) this.endSink();
  }

  // ——— events that wait for the store ———

  #wait(
    log: SessionEventLog,
    write: WaitingWrite,
    begun: MaybePromise<WriteOutcome> | undefined,
  ): void {
    (this.#writes ??= new WaitingWrites(this, log)).add(write, begun);
  }

  drained(): void {
    this.#writes = undefined;
  }

  room(bytes: number): Room {
    return this.reader?.sink.room?.(bytes);
  }

  /** The budget has no room for this event. A GET stream continues: once none waits, it says what it dropped. */
  #overflow(log: SessionEventLog, write: WaitingWrite): void {
    const writes = this.#writes;
    if (this.key !== GET_STREAM) (writes ?? new WaitingWrites(this, log)).lose('failed', write);
    else if (mayWait(write.json, writes?.size ?? 0)) this.#wait(log, write, undefined);
    else if (writes === undefined) log.skipped();
    else writes.skip();
  }

  lose(why: 'fenced' | 'failed', answered: boolean): void {
    const isAhead = this.runsAhead;
    this.#writes = undefined;
    this.#lost = why;
    if (!isAhead) this.#storingFailed(answered, why);
  }

  /**
   * Ends the sink, or lets its response continue with the next owner. After an end its client resumes from the log,
   * or at the next owner. A client that does not resume gets an error: here instead of the answer, or from the session,
   * which is about to leave and then answers every running call. `answered`: the answer of the call is lost.
   */
  #storingFailed(answered: boolean, why: 'fenced' | 'failed'): void {
    const call = this.#call;
    const error = call === undefined ? undefined : this.log?.lostAnswer(call);
    if (error !== undefined && !this.isComplete) return;
    if (error !== undefined && answered) this.reader?.sink.message(error, undefined);
    else if (why === 'fenced' && this.reader?.handOver() === true) return;
    this.endSink();
  }

  /** Calls `then` when every message so far is stored, or will never be. */
  whenFlushed(then: () => void): void {
    if (this.#writes === undefined) then();
    else this.#writes.whenFlushed(then);
  }

  /** Resolves when every message so far is stored. */
  flushed(): Promise<void> {
    return new Promise((resolve) => this.whenFlushed(resolve));
  }

  /** The turn ends, and the response of the sink has not begun. */
  endTurn(): void {
    this.#writes?.endTurn();
  }

  /** The session ended: later messages reach only the present sink. */
  stopLogging(): void {
    this.endTurn();
    this.log = undefined;
  }

  // ——— its reader ———

  /** Whether the stream has a sink now that its client reads. */
  get hasOpenSink(): boolean {
    return this.reader?.sink.isOpen === true;
  }

  /** Whether a message that is no answer can reach the client: now, or when it resumes. */
  get carriesAll(): boolean {
    return this.logged || (this.hasOpenSink && this.reader?.sink.takes === 'events');
  }

  /** Sets the sink of a POST. Its priming event is stored already, and is sent first. A call may be cancelled by then. */
  begin(sink: Sink): void {
    this.use(sink).point(0);
    if (this.isComplete && !this.flushing) this.endSink();
  }

  /**
   * Sets the sink of a POST that is dispatched at once. Every event is stored before it is sent, the priming event
   * together with the first message.
   */
  beginAhead(sink: Sink, extra: AppendExtra, stored: (result: WriteResult) => void): void {
    this.use(sink);
    if (this.log !== undefined)
      (this.#writes = new WaitingWrites(this, this.log)).gather(extra, stored);
  }

  /**
   * Sets the sink; `done` is called when it ends. Of a GET stream the sink before it is parked: it gets no more
   * messages, and its response ends with that of the new sink.
   */
  use(sink: Sink, done?: () => void): Reader {
    const before = this.reader;
    if (this.key !== GET_STREAM) this.endSink();
    const reader = (this.reader = new Reader(this, sink, done));
    sink.listener = this;
    if (before !== undefined && this.key === GET_STREAM) reader.park(before);
    return reader;
  }

  /** Drops the response at once, because a session may outlive its sinks by hours. */
  sinkClosed(sink: Sink): void {
    if (this.reader?.sink === sink) this.endSink(true);
    else this.reader?.forget(sink);
  }

  /** Ends the sink cleanly, unless it is closed; the stream continues. */
  endSink(isClosed = false): void {
    const { reader } = this;
    this.reader = undefined;
    reader?.end(isClosed);
  }

  // ——— ends of its response before the end of the stream ———

  hostStopped(): void {
    this.reader?.endToResume(false);
  }

  /** Ends the response but not the stream, once its messages are stored: the client reconnects at once and resumes. */
  endFlushed(): void {
    if (this.logged && !this.isComplete) this.whenRead((reader) => reader.endToResume(true));
  }

  /** Ends the response and each later one: the client comes back every `retryMs` until the stream is complete. */
  poll(retryMs = this.log?.options.retryMs): void {
    this.pollMs = retryMs;
    this.whenRead((reader) => reader.endToResume(false));
  }

  /** Leaves the call to the next owner, which runs it again. A relayed sink continues there; any other resumes. */
  handOverFlushed(soon: boolean): void {
    this.whenRead((reader) =>
      reader.sink.isRelayed ? reader.sink.handOver(true) : reader.endToResume(soon),
    );
  }

  /** Calls `then` when every message so far is stored, if the present reader still reads. */
  whenRead(then: (reader: Reader) => void): void {
    const { reader } = this;
    if (reader !== undefined) this.whenFlushed(() => reader === this.reader && then(reader));
  }

  /** The store is away. A reader that a resume replaces stays. */
  endToResumeElsewhere(): void {
    if (this.#resumes?.held === undefined) this.reader?.endToResumeElsewhere();
  }

  /** Made by the first resume. */
  get resumes(): Resumes {
    return (this.#resumes ??= new Resumes(this));
  }
}
