/**
 * One stream of messages to a client: a POST's stream ends with the last answer, the GET stream lives as long as its
 * session. A *logged* stream gives every message an offset and stores it before it is sent, so its reader can
 * disconnect and resume. The messages of an unlogged stream reach only the present reader.
 *
 *     stream.ts            which messages there are, when they are stored, when the stream is complete
 *     stream-writer.ts     the appends to the log
 *     stream-readers.ts    who gets the messages: the present reader, resumes, and readers that end early
 *
 *     open ───────────────────────last message──▶ complete ──it is stored──▶ stored
 *      │ ▲                                          ▲
 *      ▼ │ first event is stored                    │ first event is stored
 *     early ──────────────────────last message──▶ completeEarly
 *
 * early: its request runs although the first event is not stored yet. If storing it fails, the caller of `beginEarly`
 * ends the reader.
 *
 * What a crash leaves: the stored events, and a stream that is not complete. The next owner of the session ends it.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { LoggedEvent, MaybePromise } from '../../stores/store.ts';
import type { Reader } from '../../http/reader.ts';
import { follow, type Transitions } from '../../options/transitions.ts';
import { callSuffix, resumeSuffix } from './event-id.ts';
import type { AnsweredCall, AppendExtra, StreamLog, WriteResult } from './stream-log.ts';
import { type ResumeFrom, StreamReaders } from './stream-readers.ts';
import { StreamWriter, type Written } from './stream-writer.ts';

type Phase = 'open' | 'early' | 'complete' | 'completeEarly' | 'stored';

const PHASES: Transitions<Phase> = {
  open: ['early', 'complete'],
  early: ['open', 'completeEarly'],
  complete: ['stored'],
  completeEarly: ['complete'],
  stored: [],
};

/** The requests that a POST's stream answers. */
export interface PostedRequests {
  /** A JSON answer carries nothing but answers. */
  readonly answersOnly: boolean;
  readonly requests: number;
  /** The only request. */
  readonly call: AnsweredCall | undefined;
}

/** A GET stream answers no request. */
const NONE: PostedRequests = { answersOnly: false, requests: 0, call: undefined };

export class Stream extends StreamReaders implements Written {
  readonly #writer: StreamWriter | undefined;
  /** The store was away at the first try of some write of this stream, or of the marker of its call. */
  #delayed = false;
  readonly #requests: number;
  /** Answers that are still to come. */
  #awaited: number;
  /** A JSON answer carries nothing but answers. */
  readonly answersOnly: boolean;
  #phase: Phase = 'open';

  constructor(
    key: string,
    log: StreamLog | undefined,
    next = 0,
    { answersOnly, requests, call }: PostedRequests = NONE,
  ) {
    super(key, log, call);
    this.#writer = log === undefined ? undefined : new StreamWriter(key, log, this, next);
    this.answersOnly = answersOnly;
    this.#requests = requests;
    this.#awaited = requests;
  }

  // ——— how far it has come ———

  #enter(next: Phase): void {
    this.#phase = follow(PHASES, this.#phase, next);
  }

  get complete(): boolean {
    return this.#phase !== 'open' && this.#phase !== 'early';
  }

  protected get endStored(): boolean {
    return this.#phase === 'stored';
  }

  #completeNow(): void {
    this.#enter(this.#phase === 'early' ? 'completeEarly' : 'complete');
  }

  /** Counts one of the answers that the stream awaits. `true`: it was the last. */
  countAnswer(): boolean {
    this.#awaited -= 1;
    return this.#awaited === 0;
  }

  /**
   * Whether the next owner of the session can answer the call: its reader is at another instance, or its client resumes
   * a stream that ended (`clientResumes`).
   */
  canHandOn(clientResumes: boolean): boolean {
    const resumes = clientResumes && this.logged;
    return this.#requests === 1 && !this.complete && (resumes || this.reader?.isRelayed === true);
  }

  noteDelay(): void {
    this.#delayed = true;
  }

  get delayed(): boolean {
    return this.#delayed;
  }

  get everLogged(): boolean {
    return this.#writer !== undefined;
  }

  /** Whether the log holds the end of the stream, or never held the stream. */
  get settled(): boolean {
    return this.endStored || !this.everLogged;
  }

  /** The session ended: later messages reach only the present reader. */
  abandonLog(): void {
    this.#writer?.endTurn();
    this.dropLog();
  }

  // ——— its first event ———

  /** Sets the reader of a POST. Its priming event is stored already, and is sent first. */
  begin(reader: Reader): void {
    this.use(reader);
    this.sendPoint(0);
  }

  /**
   * Sets the reader of a POST that is dispatched at once. Every event is stored before it is sent, the priming event
   * together with the first message.
   */
  beginEarly(reader: Reader, extra: AppendExtra, primed: (result: WriteResult) => void): void {
    this.#enter('early');
    this.use(reader);
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
    return this.logged ? (this.#writer?.write('', false, extra, true) ?? 'written') : 'written';
  }

  // ——— its messages ———

  /** Stores an event with only an id, and sends it to the reader. */
  resumePoint(): MaybePromise<WriteResult> {
    return this.logged ? (this.#writer?.write('', false) ?? 'written') : 'written';
  }

  /**
   * `last`: the stream is complete with this message, and ends. `unmark`: the request this answers, if it was marked.
   */
  send(json: string, last = false, unmark?: string): void {
    if (this.complete) return;
    if (last) this.#completeNow();
    if (this.logged) {
      this.#writer?.send(json, last, unmark);
      return;
    }
    this.reader?.message(json, undefined);
    if (last) this.detach();
  }

  /** Completes the stream without another message: its request was cancelled, or its session ends. */
  finish(unmark?: string): void {
    if (this.complete) return;
    this.#completeNow();
    if (this.logged) this.#writer?.send(undefined, true, unmark);
    else this.detach();
  }

  // ——— what its writer reports ———

  /** Sends a stored event to the reader; `''` is a priming event. */
  stored(json: string | undefined, offset: number, last: boolean): void {
    if (this.#phase === 'early') this.#enter('open');
    else if (this.#phase === 'completeEarly') this.#enter('complete');
    if (last) this.#enter('stored');
    if (json === '') return this.sendPoint(offset);
    if (json !== undefined) this.sendStored(json, offset);
    if (last) this.endOfStream();
  }

  /**
   * Ends the reader, or lets its response continue with the next owner. After an end its client resumes from the log,
   * or at the next owner. A client that does not resume gets an error: here instead of the answer, or from the session,
   * which is about to leave and then answers every running call.
   */
  lost(answered: boolean, why: 'fenced' | 'failed'): void {
    if (this.#phase === 'early' || this.#phase === 'completeEarly') return;
    const error = this.call === undefined ? undefined : this.log?.lostAnswer(this.call);
    if (error !== undefined && !this.complete) return;
    if (error !== undefined && answered) this.reader?.message(error, undefined);
    else if (why === 'fenced' && this.continueElsewhere()) return;
    this.detach();
  }

  room(): Promise<void> | undefined {
    return this.reader?.room();
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

  // ——— early ends: the response ends, and its client resumes the stream ———

  /** The store is away: ends the reader if its client can resume, because another instance may have the answer. */
  letResume(): void {
    if (!this.answersOnly) this.endResumable();
  }

  /** Ends the response but not the stream. The last event makes the client reconnect at once and resume. */
  closeEarly(): void {
    if (!this.logged || this.complete) return;
    this.#atResumePoint(true, () => this.detach());
  }

  /**
   * Ends the response and each later one: the client comes back every `retryMs` until the stream is complete. `false`:
   * it could not resume, and nothing changes.
   */
  poll(retryMs: number): boolean {
    if (!this.logged || this.complete) return false;
    this.pollMs = retryMs;
    this.#atResumePoint(false, () => this.detach());
    return true;
  }

  /**
   * Leaves the call to the next owner, which runs it again. A reader at another instance continues there; any other
   * reader resumes.
   */
  handOn(soon: boolean): void {
    this.#atResumePoint(soon, (reader) => {
      if (reader.isRelayed) reader.moved(true);
      else this.detach();
    });
  }

  /** Calls `then` once the reader has an id to resume from. `soon`: the event asks it to reconnect at once. */
  #atResumePoint(soon: boolean, then: (reader: Reader) => void): void {
    const { reader } = this;
    if (reader === undefined) return;
    this.expectEnd(soon);
    const done = this.resumePoint();
    const still = (): void => {
      if (this.reader === reader) then(reader);
    };
    if (done instanceof Promise) void done.then(still);
    else still();
  }
}

/** Sends to a reader of a complete stream the events that the log keeps after `from`, then the end. */
export function replayComplete(
  events: readonly LoggedEvent[],
  reader: Reader,
  from: ResumeFrom & { readonly stream: string; readonly call: RequestId | undefined; readonly isTool: boolean },
  log: StreamLog,
): void {
  const { stream } = from;
  const call = callSuffix(from.call, from.isTool);
  reader.point(log.eventId(stream, from.offset, call + resumeSuffix(from.resumes)), log.retryMs, log.emptyData);
  for (const { offset, data } of events) {
    if (data !== '') reader.message(data, log.eventId(stream, offset, call));
  }
  reader.end();
}
