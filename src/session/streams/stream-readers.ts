/**
 * The readers of one stream: what is sent to them, and how their responses end while the stream continues. What is
 * stored, and when the stream is complete, is in `stream.ts`.
 *
 *     none ──use──▶ reading ──its end is near──▶ endsSoon
 *      ▲               │ ▲                          │ │
 *      │               │ ╰──the end may wait────────╯ │
 *      ╰───────────────┴──detached, parked, or over───╯
 *
 * reading: the present reader gets each message. endsSoon: its response is about to end, and its client should resume
 * at once. A client that polls (`pollMs`) gets what the log has, and its response ends at once.
 *
 * Resuming: new messages are held back while the log is read. The new reader gets the events of the log, and then the
 * held messages by offset. So no message is missing and none comes twice, however slow the store is.
 */
import type { Reader, ReaderListener } from '../../http/reader.ts';
import type { LoggedEvent, ReplayOutcome } from '../../stores/store.ts';
import { follow, type Transitions } from '../../options/transitions.ts';
import { callSuffix, GET_STREAM, resumeSuffix } from './event-id.ts';
import { ParkedReaders } from './parked-readers.ts';
import type { AnsweredCall, StreamLog } from './stream-log.ts';

/** The `retry:` before an end after which the client should reconnect at once. */
export const SOON_MS = 100;

type ReaderState = 'none' | 'reading' | 'endsSoon';

const READER_STATES: Transitions<ReaderState> = {
  none: ['reading'],
  // A reader whose response is over may be replaced before the stream hears of that.
  reading: ['reading', 'endsSoon', 'none'],
  endsSoon: ['endsSoon', 'reading', 'none'],
};

/** Where a reader left a stream, and how often a reader resumed from that position. */
export interface ResumeFrom {
  readonly offset: number;
  readonly resumes: number;
}

export abstract class StreamReaders implements ReaderListener {
  readonly key: string;
  /** The only request that the stream answers. */
  protected readonly call: AnsweredCall | undefined;
  #callSuffix: string | undefined = undefined;
  #log: StreamLog | undefined;
  #state: ReaderState = 'none';
  #reader: Reader | undefined = undefined;
  #readerDone: (() => void) | undefined = undefined;
  /** Only of a GET stream. */
  #parked: ParkedReaders | undefined = undefined;
  /** The last offset sent to the present reader, and how often a reader resumed from it. */
  #sent = -1;
  #resumes = 0;
  /** Where a reader was ended on purpose, in the form in which it resumes. */
  #cleanEnd: ResumeFrom | undefined = undefined;
  /** The client polls: no response stays open until the stream is complete. ms between its polls. */
  protected pollMs: number | undefined = undefined;
  /** Messages that arrive while a resumed reader reads the log. */
  #held: LoggedEvent[] | undefined = undefined;
  /**
   * The last offset that a resumed reader got from the log. The store may acknowledge the write of that event later.
   */
  #replayed = -1;
  #resuming: Promise<void> | undefined = undefined;

  constructor(key: string, log: StreamLog | undefined, call: AnsweredCall | undefined) {
    this.key = key;
    this.#log = log;
    this.call = call;
  }

  /** The last message of the stream was accepted. */
  abstract get complete(): boolean;

  /** Calls `then` once every message so far is stored. */
  abstract whenFlushed(then: () => void): void;

  /** That message is stored too. */
  protected abstract get endStored(): boolean;

  #become(next: ReaderState): void {
    this.#state = follow(READER_STATES, this.#state, next);
  }

  // ——— the present reader ———

  get logged(): boolean {
    return this.#log !== undefined;
  }

  protected get log(): StreamLog | undefined {
    return this.#log;
  }

  protected dropLog(): void {
    this.#log = undefined;
  }

  protected get reader(): Reader | undefined {
    return this.#reader;
  }

  /** Whether the stream has a reader now. */
  get read(): boolean {
    return this.#reader !== undefined && this.#reader.isOpen;
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
  use(reader: Reader, done?: () => void): void {
    this.#become('reading');
    this.#reader = reader;
    this.#sent = -1;
    this.#resumes = 0;
    this.#readerDone = done;
    reader.listener = this;
  }

  /** The present reader reads no more. Returns what to call once its response has ended. */
  #leave(): (() => void) | undefined {
    const done = this.#readerDone;
    this.#become('none');
    this.#reader = undefined;
    this.#readerDone = undefined;
    return done;
  }

  /** Drops the response at once, because a session may outlive its readers by hours. */
  over(reader: Reader): void {
    if (this.#reader !== reader) {
      this.#parked?.delete(reader);
      return;
    }
    const done = this.#leave();
    this.#parked?.end();
    done?.();
  }

  // ——— what is sent ———

  /** Sends an event with only the id of `offset`, where the stream is logged. */
  #prime(offset: number, retryMs: number, resumed = ''): void {
    const log = this.#log;
    if (log === undefined) return;
    this.#sent = offset;
    this.#reader?.point(this.#eventId(offset, resumed) ?? '', retryMs, log.emptyData);
  }

  /** Sends a stored event that has only an id. */
  protected sendPoint(offset: number): void {
    this.#prime(offset, this.#state === 'endsSoon' ? this.#soonMs : this.#retryMs);
  }

  get #retryMs(): number {
    return this.pollMs ?? this.#log?.retryMs ?? 0;
  }

  /** Sends a stored message, unless a resumed reader has it from the log or will get it after the log. */
  protected sendStored(json: string, offset: number): void {
    if (this.#held !== undefined) this.#held.push({ offset, data: json });
    else if (offset > this.#replayed) this.#message(json, offset);
  }

  /** The end of the stream is stored. */
  protected endOfStream(): void {
    if (this.#held === undefined) this.detach();
  }

  #message(json: string, offset: number): void {
    this.#sent = offset;
    this.#resumes = 0;
    this.#reader?.message(json, this.#eventId(offset));
  }

  /** `undefined`: the stream is not logged. */
  #eventId(offset: number, resumed = ''): string | undefined {
    const call = (this.#callSuffix ??= callSuffixOf(this.call));
    return this.#log?.eventId(this.key, offset, resumed === '' ? call : call + resumed);
  }

  get #soonMs(): number {
    return Math.min(SOON_MS, this.#log?.retryMs ?? SOON_MS);
  }

  // ——— how a response ends ———

  /** `soon`: the next event with only an id asks the client to reconnect at once. */
  protected expectEnd(soon: boolean): void {
    if (soon || this.#state === 'endsSoon') this.#become(soon ? 'endsSoon' : 'reading');
  }

  /** Ends the reader cleanly; the stream continues. */
  detach(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    const done = this.#leave();
    reader.end();
    this.#parked?.end();
    done?.();
  }

  /**
   * Ends the reader of a session that leaves this instance. `soon`: another instance serves, so the client need not
   * wait.
   */
  handOver(soon: boolean): void {
    const log = this.#log;
    if (log !== undefined && this.#reader?.isOpen === true && this.#sent >= 0)
      this.#prime(this.#sent, soon ? this.#soonMs : this.#retryMs, resumeSuffix(this.#resumes));
    this.detach();
  }

  /** Ends a reader of this instance that has an event id to resume from, and whose client resumes. */
  protected endResumable(): void {
    const reader = this.#reader;
    const resumes = this.#log?.emptyData === true && this.#sent >= 0 && this.#held === undefined;
    if (resumes && reader?.isOpen === true && reader.isRelayed === false) this.handOver(true);
  }

  /**
   * Another instance owns the session, and ends or runs again what ran here: the response continues with what the log
   * gets there. `false`: there is no reader, or it has no event id to continue from.
   */
  continueElsewhere(): boolean {
    const reader = this.#reader;
    if (reader?.isOpen !== true || reader.takes === 'answers') return false;
    const resumes = this.#log?.emptyData === true && this.#sent >= 0;
    if (!resumes && reader.isRelayed === false) return false;
    reader.moved(true);
    return true;
  }

  /** Parks the present reader: it gets no more messages, and its response ends with that of the next reader. */
  park(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    const done = this.#leave();
    (this.#parked ??= new ParkedReaders()).add(reader);
    done?.();
  }

  /**
   * A function that ends the present reader cleanly, if it still reads then: its client resumes at once. `undefined`:
   * this reader resumed at `from` after such an end.
   */
  cleanEnd(from: ResumeFrom): (() => void) | undefined {
    const reader = this.#reader;
    const before = this.#cleanEnd;
    this.#cleanEnd = undefined;
    if (before?.offset === from.offset && before.resumes === from.resumes) return undefined;
    return () => {
      if (reader === undefined || this.#reader !== reader || this.complete || this.#held !== undefined) return;
      this.#cleanEnd = { offset: this.#sent, resumes: this.#resumes + 1 };
      this.handOver(true);
    };
  }

  // ——— resuming ———

  /**
   * Resumes for a client that has every event up to `from.offset`. `open` makes its reader once the log has shown that
   * it can continue from there; otherwise this resolves to `false`. One resume at a time, so that no reader misses a
   * message that went to the reader before it.
   */
  resume(open: () => Reader, from: ResumeFrom, done?: () => void): Promise<boolean> {
    const resumed = (this.#resuming ?? Promise.resolve()).then(() => this.#resume(open, from, done));
    const clear = (): void => {
      if (this.#resuming === settled) this.#resuming = undefined;
    };
    const settled: Promise<void> = resumed.then(clear, clear);
    this.#resuming = settled;
    return resumed;
  }

  async #resume(open: () => Reader, from: ResumeFrom, done: (() => void) | undefined): Promise<boolean> {
    const { offset: after, resumes } = from;
    const log = this.#log;
    if (log === undefined) return false;
    this.#held = [];
    let outcome: ReplayOutcome | undefined;
    try {
      outcome = await log.read(this.key, after);
    } finally {
      if (outcome?.found !== true || after >= outcome.next) this.#release(this.#reader, -1);
    }
    if (!outcome.found || after >= outcome.next) return false;
    // The new reader takes over, in one turn with the events of the log.
    if (this.key === GET_STREAM) this.park();
    else this.detach();
    const reader = open();
    this.use(reader, done);
    this.#prime(after, this.complete ? log.retryMs : this.#retryMs, resumeSuffix(resumes));
    this.#resumes = resumes + 1;
    this.#replayed = after;
    for (const { offset, data } of outcome.events) {
      this.#replayed = offset;
      if (data !== '') this.#message(data, offset);
    }
    this.#release(reader, this.#replayed);
    if (this.pollMs !== undefined) this.whenFlushed(() => this.#endPoll(reader));
    return true;
  }

  /** A poll also takes the messages that were being stored when it came. */
  #endPoll(reader: Reader): void {
    if (reader === this.#reader && !this.complete) this.detach();
  }

  /**
   * Sends the held messages past `after`, and stops holding. Ends the reader if the stream was completed in the
   * meantime.
   */
  #release(reader: Reader | undefined, after: number): void {
    const held = this.#held;
    this.#held = undefined;
    for (const { offset, data } of held ?? []) {
      if (offset > after && reader === this.#reader) this.#message(data, offset);
    }
    if (this.endStored) this.detach();
  }
}

function callSuffixOf(call: AnsweredCall | undefined): string {
  return callSuffix(call?.id, call?.method === 'tools/call');
}
