/**
 * Writes the events of a logged stream into the store, in order and one append at a time. Events that arrive during an
 * append go together into the next append. An append with an unknown outcome (the store was not reached, or its answer
 * was lost) is retried until it is stored, or another instance owns the session. Later events wait:
 *
 *     gathering ──end of turn, or complete──▶ written ──▶ stored
 *                                               │ ╰──refused──▶ fenced, or written again under the next claim
 *                                               ╰──failed──▶ retried ──▶ stored, or refused: stored already
 *
 * Events also wait while the link to the instance of their reader is full: they would be sent as soon as they are
 * stored. What waits counts in the memory budget.
 */
import { follow, type Transitions } from '../../options/transitions.ts';
import type { MaybePromise, WriteOutcome } from '../../stores/store.ts';
import { type AppendExtra, carriedBy, type StreamLog, togetherIn, type Write, type WriteResult } from './stream-log.ts';

/** Learns the outcome of each write, in order. */
export interface Written {
  /** Resolves when further events may be stored; `undefined`: they may. */
  room(): Promise<void> | undefined;
  stored(json: string | undefined, offset: number, last: boolean): void;
  /** An append did not reach the store at its first try. */
  noteDelay(): void;
  /** The events will never be stored. `answered`: the answer of the call is among them. */
  lost(answered: boolean, why: 'fenced' | 'failed'): void;
}

/** The store was not reached, or its answer was lost. */
interface Unknown {
  readonly error: unknown;
}

/**
 *     gathering ──the turn ends, or the stream is complete──▶ opening ──stored──▶ open
 *                                                               ▲                  │
 *                                                               ╰──prime()─────────╯
 *
 * gathering: the first append of the stream collects the events of its turn. opening: that append is not stored yet,
 * and after `waitMs` it is not retried. fenced, failed: nothing is stored any more. A stream fails also when the memory
 * budget has no room for another event that waits.
 */
type WriterState = 'open' | 'gathering' | 'opening' | 'fenced' | 'failed';

const STATES: Transitions<WriterState> = {
  open: ['gathering', 'opening', 'fenced', 'failed'],
  gathering: ['opening', 'failed'],
  opening: ['open', 'fenced', 'failed'],
  fenced: [],
  failed: [],
};

export class StreamWriter {
  readonly #key: string;
  readonly #log: StreamLog;
  readonly #written: Written;
  /** The number of stored events. */
  #length: number;
  /** Oldest first, including the append under way. */
  #waiting: Write[] = [];
  /** How many of `#waiting` that append carries. */
  #sent = 0;
  #state: WriterState = 'open';
  /** The epoch of that append. */
  #epoch = 0;
  /** When an append last failed at its first try. */
  #failedAt = 0;
  #settled: Array<() => void> | undefined = undefined;

  constructor(key: string, log: StreamLog, written: Written, next: number) {
    this.#key = key;
    this.#log = log;
    this.#written = written;
    this.#length = next;
  }

  /** Nothing is stored any more. */
  get #over(): boolean {
    return this.#state === 'fenced' || this.#state === 'failed';
  }

  #become(next: WriterState): void {
    this.#state = follow(STATES, this.#state, next);
  }

  /** Whether an event waits for the store. */
  get busy(): boolean {
    return this.#waiting.length > 0;
  }

  settled(): Promise<void> {
    return new Promise((resolve) => this.whenSettled(resolve));
  }

  whenSettled(then: () => void): void {
    if (this.busy) (this.#settled ??= []).push(then);
    else then();
  }

  /** `opens`: the write opens the stream. After `waitMs` it fails, and the caller answers the client. */
  write(json: string | undefined, last: boolean, extra?: AppendExtra, opens = false): MaybePromise<WriteResult> {
    if (this.#state === 'fenced' || this.#state === 'failed') return this.#state;
    if (opens && this.#state === 'open') this.#become('opening');
    const outcome = this.busy ? undefined : this.#ask(json === undefined ? NO_EVENTS : [json], extra, extra, last);
    if (outcome === 'written') return this.#storedAtOnce(json, last);
    return new Promise((tell) => {
      this.#waiting.push({ json, last, extra, tell, held: 0 });
      if (outcome === undefined) return this.endTurn();
      this.#sent = 1;
      this.#settle(outcome, 0);
    });
  }

  /**
   * Opens the stream together with the other events of this turn: at once when they complete the stream, else when the
   * turn ends.
   */
  open(extra: AppendExtra, tell: (result: WriteResult) => void): void {
    this.#become('gathering');
    this.#waiting.push({ json: '', last: false, extra, tell, held: 0 });
  }

  send(json: string | undefined, last: boolean, unmark?: string): void {
    if (this.#state === 'fenced' || this.#state === 'failed') {
      if (last) this.#written.lost(json !== undefined, this.#state);
      return;
    }
    const extra = unmark === undefined ? undefined : { unmark };
    const held = (json?.length ?? 0) * EVENT_WEIGHT;
    if (!this.#log.hold(held)) {
      this.#waiting.push({ json, last, extra, tell: undefined, held: 0 });
      return this.#lose('failed');
    }
    const room = this.busy ? undefined : this.#written.room();
    const waits = this.busy || room !== undefined;
    const outcome = waits ? undefined : this.#ask(json === undefined ? NO_EVENTS : [json], extra, extra, last);
    if (outcome === 'written') {
      this.#log.release(held);
      return void this.#storedAtOnce(json, last);
    }
    this.#waiting.push({ json, last, extra, tell: undefined, held });
    if (outcome !== undefined) {
      this.#sent = 1;
      this.#settle(outcome, 0);
    } else if (room !== undefined) this.#nextAfter(room);
    else if (last) this.endTurn();
  }

  /** Writes the gathered events. */
  endTurn(): void {
    if (this.#state !== 'gathering') return;
    this.#become('opening');
    this.#next();
  }

  /** For a store that answers at once: no event waits. */
  #storedAtOnce(json: string | undefined, last: boolean): 'written' {
    const from = this.#length;
    if (this.#state === 'opening') this.#become('open');
    if (json !== undefined) this.#length += 1;
    this.#written.stored(json, from, last);
    return 'written';
  }

  #next(): void {
    const room = this.busy ? this.#written.room() : undefined;
    if (room !== undefined) return this.#nextAfter(room);
    this.#sent = togetherIn(this.#waiting);
    if (this.#sent > 0) this.#append(0);
    else this.#tellSettled();
  }

  #nextAfter(room: Promise<void>): void {
    void room.then(() => {
      if (!this.#over) this.#next();
    });
  }

  #append(tries: number): void {
    const [first] = this.#waiting;
    const last = this.#waiting[this.#sent - 1];
    if (first === undefined || last === undefined) return;
    this.#settle(this.#ask(this.#events(), first.extra, last.extra, last.last), tries);
  }

  #ask(
    events: readonly string[],
    first: AppendExtra | undefined,
    last: AppendExtra | undefined,
    complete: boolean,
  ): MaybePromise<WriteOutcome> | Unknown {
    this.#epoch = this.#log.epoch;
    try {
      return this.#log.append(this.#key, this.#length, events, complete, carriedBy(first, last, complete));
    } catch (error) {
      return { error };
    }
  }

  #settle(outcome: MaybePromise<WriteOutcome> | Unknown, tries: number): void {
    if (this.#over) return;
    if (outcome instanceof Promise) {
      outcome.then(
        (settled) => this.#settle(settled, tries),
        (error: unknown) => this.#failed(error, tries),
      );
    } else if (typeof outcome === 'object') this.#failed(outcome.error, tries);
    else if (outcome === 'written') this.#stored();
    else if (tries > 0) void this.#checkStored(tries);
    else this.#refused(tries);
  }

  #refused(tries: number): void {
    const ours = this.#log.claimedSince(this.#epoch);
    const then = (again: boolean): void => {
      if (this.#over) return;
      if (again) this.#append(tries);
      else this.#lose('fenced');
    };
    if (ours instanceof Promise) void ours.then(then);
    else then(ours);
  }

  #events(): string[] {
    const events: string[] = [];
    for (let n = 0; n < this.#sent; n++) {
      const json = this.#waiting[n]?.json;
      if (json !== undefined) events.push(json);
    }
    return events;
  }

  #stored(): void {
    const stored = this.#sent === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, this.#sent);
    this.#waiting = this.#waiting.slice(stored.length);
    if (this.#state === 'opening') this.#become('open');
    for (const { json, last, tell, held } of stored) {
      this.#log.release(held);
      const offset = this.#length;
      if (json !== undefined) this.#length += 1;
      this.#written.stored(json, offset, last);
      tell?.('written');
    }
    this.#next();
  }

  #lose(why: 'fenced' | 'failed'): void {
    const lost = this.#waiting;
    this.#waiting = [];
    this.#sent = 0;
    this.#become(why);
    if (why === 'fenced') this.#log.fenced();
    this.#written.lost(
      lost.some(({ json, last }) => last && json !== undefined),
      why,
    );
    for (const { tell, held } of lost) {
      this.#log.release(held);
      tell?.(why);
    }
    this.#tellSettled();
  }

  /** Logs the first failure of an append, and retries. */
  #failed(error: unknown, tries: number): void {
    if (this.#over) return;
    const { waitMs } = this.#log;
    if (tries === 0) {
      this.#log.failed(error);
      this.#failedAt = this.#log.now();
      this.#written.noteDelay();
    }
    const waited = this.#log.now() - this.#failedAt;
    if (this.#state === 'opening' && waited >= waitMs) return this.#lose('failed');
    void this.#log.again(tries).then((again) => {
      if (this.#over) return;
      if (again) this.#append(tries + 1);
      else this.#lose('failed');
    });
  }

  /** The append was refused after an earlier try: checks whether that try was stored after all. */
  async #checkStored(tries: number): Promise<void> {
    try {
      const kept = await this.#log.replay(this.#key, this.#length - 1);
      if (this.#over) return;
      const there = this.#events().every((json, n) => {
        const event = kept.found ? kept.events[n] : undefined;
        return event?.offset === this.#length + n && event.data === json;
      });
      const complete = this.#waiting[this.#sent - 1]?.last !== true || (kept.found && kept.complete);
      if (kept.found && there && complete) this.#stored();
      else this.#refused(tries);
    } catch (error) {
      this.#failed(error, tries);
    }
  }

  #tellSettled(): void {
    const settled = this.#settled;
    if (settled === undefined || this.busy) return;
    this.#settled = undefined;
    for (const then of settled) then();
  }
}

/** A waiting event counts this many times in the memory budget: the message, its text, and the copies of the store. */
const EVENT_WEIGHT = 4;

const NO_EVENTS: readonly string[] = [];
