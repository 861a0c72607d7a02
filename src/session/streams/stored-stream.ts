/**
 * A stream of messages as its store has it. A *logged* stream gives every message an offset and stores it before it is
 * sent. A store in this process takes an event at once. Events that must wait for their store are appended in order, one
 * append at a time, and those that arrive during an append go together into the next one. An append with an unknown
 * outcome (the store was not reached, or its answer was lost) is retried until it is stored, or another instance owns
 * the session:
 *
 *     gathered ──end of turn, or complete──▶ appended ──▶ stored
 *                                               │ ╰──refused──▶ fenced, or appended again under the next claim
 *                                               ╰──failed──▶ retried ──▶ stored, or refused: stored already
 *
 * Events also wait while the link to the instance of their sink is full: they would be sent as soon as they are
 * stored. What waits counts in the memory budget, from before the store gets it until the store has answered.
 */
import type { Mark, MaybePromise, WriteOutcome } from '../../stores/store.ts';
import type { Room } from '../../http/sink.ts';
import { pause } from '../record/pause.ts';
import { callSuffix, GET_STREAM } from './event-id.ts';
import {
  type AppendExtra,
  carriedBy,
  mayWait,
  type PostedRequest,
  type PostedRequests,
  type SessionEventLog,
  type WriteResult,
} from './event-log.ts';

/**
 * gathering: the first append of the stream collects the events of its turn. fenced, failed: nothing is stored any
 * more. A stream fails when the memory budget has no room for another event that waits, when its session left, or when
 * its first append was not stored within `waitMs`. A GET stream without room is skipping: it drops events until none
 * waits.
 */
type StoredState = 'open' | 'gathering' | 'skipping' | 'fenced' | 'failed';

/** A waiting event counts this many times in the memory budget: the message, its text, and the copies of the store. */
const EVENT_WEIGHT = 4;

/** An event that waits. */
interface Write {
  /** `undefined`: the stream completes without an event. */
  readonly json: string | undefined;
  readonly last: boolean;
  readonly extra: AppendExtra | undefined;
  tell: ((result: WriteResult) => void) | undefined;
  /** Charged to the memory budget; 0 once the append under way has the charge. */
  held: number;
}

export abstract class StoredStream {
  readonly key: string;
  readonly #requests: PostedRequests;
  #callSuffix: string | undefined = undefined;
  #log: SessionEventLog | undefined;
  #next: number;
  /** Answers that are still to come. */
  #awaited: number;
  #state: StoredState = 'open';
  #delayed = false;
  #isAhead = false;
  /** Oldest first, including the append under way. `undefined`: none waits. */
  #waiting: Write[] | undefined = undefined;

  constructor(key: string, log: SessionEventLog | undefined, next = 0, requests: PostedRequests = []) {
    this.key = key;
    this.#log = log;
    this.#next = next;
    this.#requests = requests;
    this.#awaited = requests.length;
  }

  /** Sends a stored event. `''`: it has only an id. `undefined`: the stream completes without an event. */
  protected abstract stored(json: string | undefined, last: boolean, offset: number): void;
  /** The events will never be stored. `answered`: the answer of the call is among them. */
  protected abstract storingFailed(answered: boolean, why: 'fenced' | 'failed'): void;
  /** For events of so many bytes that are about to be stored. */
  protected abstract room(bytes: number): Room;

  // ——— what it answers ———

  /** Its only request. */
  protected get call(): PostedRequest | undefined {
    return this.#requests.length === 1 ? this.#requests[0] : undefined;
  }

  /** The request of one of its calls. */
  requestOf(id: PostedRequest['id'] | undefined): PostedRequest | undefined {
    return this.call ?? this.#requests.find((request) => request?.id === id);
  }

  /** Counts one of the answers that the stream awaits. `true`: it was the last. */
  countAnswer(): boolean {
    return (this.#awaited -= 1) === 0;
  }

  // ——— its log ———

  get log(): SessionEventLog | undefined {
    return this.#log;
  }

  get logged(): boolean {
    return this.#log !== undefined;
  }

  /** Whether its client comes back after an end of the response. Clients of earlier revisions do not. */
  get clientResumes(): boolean {
    return this.#log?.emptyData === true;
  }

  /** `undefined`: the stream is not logged. */
  protected eventId(offset: number, resumed: string): string | undefined {
    const { call } = this;
    const suffix = (this.#callSuffix ??= callSuffix(call?.id, call?.method === 'tools/call'));
    return this.#log?.eventId(this.key, offset, resumed === '' ? suffix : suffix + resumed);
  }

  /** The session ended: later messages reach only the present sink. */
  stopLogging(): void {
    this.endTurn();
    this.#log = undefined;
  }

  /** Why nothing is stored any more; `undefined`: events are stored. */
  protected get outcome(): 'fenced' | 'failed' | undefined {
    return this.#state === 'fenced' || this.#state === 'failed' ? this.#state : undefined;
  }

  /** Whether an event waits for the store. */
  get flushing(): boolean {
    return this.#waiting !== undefined;
  }

  /** Calls `then` when every message so far is stored, or will never be. */
  whenFlushed(then: () => void): void {
    const last = this.#waiting?.at(-1);
    if (last === undefined) return then();
    const { tell } = last;
    last.tell = (result) => {
      tell?.(result);
      then();
    };
  }

  /** Resolves when every message so far is stored. */
  flushed(): Promise<void> {
    return new Promise((resolve) => this.whenFlushed(resolve));
  }

  /** The store was away at the first try of some write of this stream, or of the marker of its call. */
  get delayed(): boolean {
    return this.#delayed;
  }

  noteDelay(): void {
    this.#delayed = true;
  }

  // ——— events ———

  /** Stores an event with only an id, and sends it to the sink. */
  storePoint(extra?: AppendExtra): MaybePromise<WriteResult> {
    const log = this.#log;
    if (log === undefined) return 'written';
    if (this.outcome !== undefined) return this.outcome;
    const begun = this.#append(log, '', false, extra);
    if (begun === 'written') return begun;
    return new Promise((tell) => this.#wait(log, { json: '', last: false, extra, tell, held: 0 }, begun));
  }

  /** `json`: `undefined`: the stream completes without an event. `unmark`: the marker of the request that this ends. */
  protected store(log: SessionEventLog, json: string | undefined, last: boolean, unmark: Mark | undefined): void {
    if (this.outcome !== undefined) {
      if (last && !this.#isAhead) this.storingFailed(json !== undefined, this.outcome);
      return;
    }
    const held = (json?.length ?? 0) * EVENT_WEIGHT;
    if (this.#state === 'skipping' && held > 0) return;
    const extra = unmark === undefined ? undefined : { unmark };
    if (held > 0 && !log.hold(held)) return this.#overflow(log, { json, last, extra, tell: undefined, held: 0 });
    const room = this.room(json?.length ?? 0);
    const begun = room === undefined ? this.#append(log, json, last, extra) : undefined;
    // The event asks again when it is its turn.
    if (typeof room === 'function') room();
    if (begun === 'written') log.release(held);
    else this.#wait(log, { json, last, extra, tell: undefined, held }, begun);
  }

  /** `undefined`: the event must wait for the events before it, or is never stored. */
  #append(
    log: SessionEventLog,
    json: string | undefined,
    last: boolean,
    extra: AppendExtra | undefined,
  ): MaybePromise<WriteOutcome> | undefined {
    if (this.flushing || this.outcome !== undefined) return undefined;
    const carried = carriedBy(extra, extra, last);
    const outcome = log.append(this.key, this.#next, json === undefined ? [] : [json], last, carried);
    if (outcome === 'written') this.#advance(json, last);
    return outcome;
  }

  #advance(json: string | undefined, last: boolean): void {
    const offset = this.#next;
    if (json !== undefined) this.#next += 1;
    this.stored(json, last, offset);
  }

  // ——— events that wait ———

  /** Opens the stream together with the other events of this turn: at once when they complete it, else at its end. */
  protected gather(extra: AppendExtra, tell: (result: WriteResult) => void): void {
    this.#state = 'gathering';
    this.#isAhead = true;
    this.#waiting = [{ json: '', last: false, extra, tell, held: 0 }];
  }

  /**
   * Requests run although the first event of the stream is not stored. If that fails, the caller of `gather` ends the
   * sink.
   */
  get runsAhead(): boolean {
    return this.#isAhead;
  }

  /** The turn of the event loop ends, and the response of the sink has not begun. Appends the gathered events. */
  endTurn(): void {
    if (this.#state !== 'gathering' || this.#log === undefined) return;
    this.#state = 'open';
    void this.#run(this.#log);
  }

  /** `begun`: its append, which is under way; `undefined`: the event waits for other events, or for room. */
  #wait(log: SessionEventLog, write: Write, begun: MaybePromise<WriteOutcome> | undefined): void {
    const isFirst = this.#waiting === undefined;
    (this.#waiting ??= []).push(write);
    if (isFirst) void this.#run(log, begun);
    else if (write.last) this.endTurn();
  }

  /** The budget has no room for this event. A GET stream continues: once none waits, it says what it dropped. */
  #overflow(log: SessionEventLog, write: Write): void {
    if (this.key !== GET_STREAM) {
      (this.#waiting ??= []).push(write);
      this.#lose(log, 'failed');
    } else if (mayWait(write.json, this.#waiting?.length ?? 0)) this.#wait(log, write, undefined);
    else if (this.flushing) this.#state = 'skipping';
    else log.skipped();
  }

  /** Until nothing waits. `begun`: the append of the first event. */
  async #run(log: SessionEventLog, begun?: MaybePromise<WriteOutcome>): Promise<void> {
    let append = begun;
    while (this.#waiting !== undefined && this.#waiting.length > 0) {
      const writes = this.#waiting.slice(0, append === undefined ? undefined : 1);
      let held = 0;
      for (const write of writes) held += write.held;
      const room = append === undefined ? this.room(held / EVENT_WEIGHT) : undefined;
      if (room instanceof Promise) {
        await room;
        continue;
      }
      // The store has them until it answers, also where the stream is lost before.
      for (const write of writes) write.held = 0;
      const result = await this.#store(log, writes, append);
      log.release(held);
      append = undefined;
      if (this.outcome !== undefined) return room?.();
      if (result === 'written') this.#written(writes);
      else this.#lose(log, result);
      room?.();
    }
    this.#waiting = undefined;
    if (this.#state !== 'skipping') return;
    this.#state = 'open';
    log.skipped();
  }

  #appendAll(log: SessionEventLog, writes: readonly Write[]): MaybePromise<WriteOutcome> {
    const [first, last] = [writes[0], writes.at(-1)];
    const completes = last?.last === true;
    const carried = carriedBy(first?.extra, last?.extra, completes);
    const events = writes.flatMap(({ json }) => json ?? []);
    return log.append(this.key, this.#next, events, completes, carried);
  }

  /** Tries an append until the store has answered. `begun`: the first try. Logs its first failure. */
  async #store(
    log: SessionEventLog,
    writes: readonly Write[],
    begun: MaybePromise<WriteOutcome> | undefined,
  ): Promise<WriteResult> {
    const { options, ownership } = log;
    const { timeProvider: time, waitMs } = options;
    // Nothing was sent, so the client is answered. A GET stream answers no request.
    const opens = this.#next === 0 && this.key !== GET_STREAM;
    const until = opens ? time.monotonic() + waitMs : Infinity;
    let append = begun;
    for (let tries = 0; this.outcome === undefined;) {
      const { epoch } = ownership;
      try {
        append ??= this.#appendAll(log, writes);
        if ((await append) === 'written') return 'written';
        if (!(await ownership.claimedSince(epoch))) return 'fenced';
      } catch (error) {
        if (tries === 0) {
          log.failed(error);
          this.#delayed = true;
        }
        if (time.monotonic() >= until) return 'failed';
        await pause(time, tries);
        if (ownership.left) return 'failed';
        tries += 1;
      }
      append = undefined;
    }
    return 'failed';
  }

  #written(writes: readonly Write[]): void {
    this.#waiting?.splice(0, writes.length);
    this.#isAhead = false;
    for (const { json, last, tell } of writes) {
      this.#advance(json, last);
      tell?.('written');
    }
  }

  #lose(log: SessionEventLog, why: 'fenced' | 'failed'): void {
    const lost = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#state = why;
    if (why === 'fenced') log.ownership.fenced();
    const answered = lost.some(({ json, last }) => last && json !== undefined);
    if (!this.#isAhead) this.storingFailed(answered, why);
    for (const { tell, held } of lost) {
      log.release(held);
      tell?.(why);
    }
  }
}
