/**
 * The events of one stream that wait for a store which answers later. They are appended in order, one append at a time.
 * Events that arrive during an append go together into the next append. An append with an unknown outcome (the store
 * was not reached, or its answer was lost) is retried until it is stored, or another instance owns the session:
 *
 *     gathered ──end of turn, or complete──▶ appended ──▶ stored
 *                                               │ ╰──refused──▶ fenced, or appended again under the next claim
 *                                               ╰──failed──▶ retried ──▶ stored, or refused: stored already
 *
 * Events also wait while the link to the instance of their sink is full: they would be sent as soon as they are
 * stored. What waits counts in the memory budget.
 */
import { follow, type Transitions } from '../../base/transitions.ts';
import type { MaybePromise, WriteOutcome } from '../../stores/store.ts';
import { pause } from '../record/pause.ts';
import type { AppendExtra, CarriedExtra, SessionEventLog, WriteResult } from './event-log.ts';

/** The stream that the events are of. It learns the outcome of each event, in order. */
export interface QueuedStream {
  readonly key: string;
  /** The number of stored events. */
  readonly next: number;
  /** Resolves when further events may be stored; `undefined`: they may. */
  room(): Promise<void> | undefined;
  stored(json: string | undefined, last: boolean): void;
  /** An append did not reach the store at its first try. */
  noteDelay(): void;
  /** The events will never be stored. `answered`: the answer of the call is among them. */
  storingFailed(answered: boolean, why: 'fenced' | 'failed'): void;
}

/** An event that waits. */
interface Write {
  /** `undefined`: the stream completes without an event. */
  readonly json: string | undefined;
  readonly last: boolean;
  readonly extra: AppendExtra | undefined;
  readonly tell: ((result: WriteResult) => void) | undefined;
  /** Charged to the memory budget. */
  readonly held: number;
}

/**
 *     gathering ──the turn ends, or the stream is complete──▶ opening ──stored──▶ open
 *                                                               ▲                  │
 *                                                               ╰──open()──────────╯
 *
 * gathering: the first append of the stream collects the events of its turn. opening: that append is not stored yet,
 * and after `waitMs` it is not retried. fenced, failed: nothing is stored any more. A stream fails also when the memory
 * budget has no room for another event that waits.
 */
type QueueState = 'open' | 'gathering' | 'opening' | 'fenced' | 'failed';

const STATES: Transitions<QueueState> = {
  open: ['gathering', 'opening', 'fenced', 'failed'],
  gathering: ['opening', 'failed'],
  opening: ['open', 'fenced', 'failed'],
  fenced: [],
  failed: [],
};

/** A waiting event counts this many times in the memory budget: the message, its text, and the copies of the store. */
const EVENT_WEIGHT = 4;

export class AppendQueue {
  readonly #stream: QueuedStream;
  readonly #log: SessionEventLog;
  /** Oldest first, including the append under way. */
  #waiting: Write[] = [];
  /** How many of `#waiting` that append carries. */
  #sent = 0;
  #state: QueueState = 'open';
  #isAhead = false;
  /** The epoch of that append. */
  #epoch = 0;
  /** When an append last failed at its first try. */
  #failedAt = 0;
  #emptied: Array<() => void> | undefined = undefined;

  constructor(stream: QueuedStream, log: SessionEventLog) {
    this.#stream = stream;
    this.#log = log;
  }

  /** Why nothing is stored any more; `undefined`: events are stored. */
  get outcome(): 'fenced' | 'failed' | undefined {
    return this.#state === 'fenced' || this.#state === 'failed' ? this.#state : undefined;
  }

  #become(next: QueueState): void {
    this.#state = follow(STATES, this.#state, next);
  }

  /**
   * Requests run although the first event of the stream is not stored. If that fails, the caller of `gather` ends the
   * sink.
   */
  get isAhead(): boolean {
    return this.#isAhead;
  }

  /** Whether an event waits for the store. */
  get busy(): boolean {
    return this.#waiting.length > 0;
  }

  whenEmpty(then: () => void): void {
    if (this.busy) (this.#emptied ??= []).push(then);
    else then();
  }

  /**
   * Opens the stream together with the other events of this turn: at once when they complete the stream, else when the
   * turn ends.
   */
  gather(extra: AppendExtra, tell: (result: WriteResult) => void): void {
    this.#become('gathering');
    this.#isAhead = true;
    this.#waiting.push({ json: '', last: false, extra, tell, held: 0 });
  }

  /** The next event opens the stream. After `waitMs` its append fails, and the caller answers the client. */
  open(): void {
    if (this.#state === 'open') this.#become('opening');
  }

  /** `outcome`: of its append, which is under way; `undefined`: the event waits for other events, or for room. */
  add(
    json: string | undefined,
    last: boolean,
    extra: AppendExtra | undefined,
    outcome: MaybePromise<WriteOutcome> | undefined,
    tell?: (result: WriteResult) => void,
  ): void {
    if (this.outcome !== undefined) {
      if (last && !this.#isAhead) this.#stream.storingFailed(json !== undefined, this.outcome);
      return;
    }
    const held = (json?.length ?? 0) * EVENT_WEIGHT;
    const hasRoom = held === 0 || this.#log.hold(held);
    const isAlone = !this.busy;
    this.#waiting.push({ json, last, extra, tell, held: hasRoom ? held : 0 });
    if (!hasRoom) this.#lose('failed');
    else if (outcome !== undefined) {
      this.#sent = 1;
      this.#epoch = this.#log.ownership.epoch;
      this.#settle(outcome, 0);
    } else if (isAlone) this.#next();
    else if (last) this.endTurn();
  }

  /** Appends the gathered events. */
  endTurn(): void {
    if (this.#state !== 'gathering') return;
    this.#become('opening');
    this.#next();
  }

  #next(): void {
    const room = this.busy ? this.#stream.room() : undefined;
    if (room !== undefined) {
      void room.then(() => this.outcome ?? this.#next());
      return;
    }
    this.#sent = togetherIn(this.#waiting);
    if (this.#sent > 0) this.#append(0);
    else this.#tellEmptied();
  }

  #append(tries: number): void {
    const [first] = this.#waiting;
    const last = this.#waiting[this.#sent - 1];
    if (first === undefined || last === undefined) return;
    const { key, next } = this.#stream;
    this.#epoch = this.#log.ownership.epoch;
    const extra = carriedBy(first.extra, last.extra, last.last);
    this.#settle(this.#log.append(key, next, this.#events(), last.last, extra), tries);
  }

  #settle(outcome: MaybePromise<WriteOutcome>, tries: number): void {
    if (this.outcome !== undefined) return;
    if (outcome instanceof Promise) {
      outcome.then(
        (settled) => this.#settle(settled, tries),
        (error: unknown) => this.#failed(error, tries),
      );
    } else if (outcome === 'written') this.#stored();
    else if (tries > 0) void this.#checkStored(tries);
    else void this.#refused(tries);
  }

  async #refused(tries: number): Promise<void> {
    const again = await this.#log.ownership.claimedSince(this.#epoch);
    if (this.outcome !== undefined) return;
    if (again) this.#append(tries);
    else this.#lose('fenced');
  }

  #events(): string[] {
    return this.#waiting.slice(0, this.#sent).flatMap(({ json }) => json ?? []);
  }

  #stored(): void {
    const stored = this.#waiting.splice(0, this.#sent);
    if (this.#state === 'opening') this.#become('open');
    this.#isAhead = false;
    for (const { json, last, tell, held } of stored) {
      this.#log.release(held);
      this.#stream.stored(json, last);
      tell?.('written');
    }
    this.#next();
  }

  #lose(why: 'fenced' | 'failed'): void {
    const lost = this.#waiting;
    this.#waiting = [];
    this.#sent = 0;
    this.#become(why);
    if (why === 'fenced') this.#log.ownership.fenced();
    const answered = lost.some(({ json, last }) => last && json !== undefined);
    if (!this.#isAhead) this.#stream.storingFailed(answered, why);
    for (const { tell, held } of lost) {
      this.#log.release(held);
      tell?.(why);
    }
    this.#tellEmptied();
  }

  /** Logs the first failure of an append, and retries. */
  #failed(error: unknown, tries: number): void {
    if (this.outcome !== undefined) return;
    const { options, ownership } = this.#log;
    const { timeProvider: time, waitMs } = options;
    if (tries === 0) {
      this.#log.failed(error);
      this.#failedAt = time.monotonic();
      this.#stream.noteDelay();
    }
    if (this.#state === 'opening' && time.monotonic() - this.#failedAt >= waitMs) return this.#lose('failed');
    void pause(time, tries).then(() => {
      if (this.outcome !== undefined) return;
      if (ownership.left) this.#lose('failed');
      else this.#append(tries + 1);
    });
  }

  /** The append was refused after an earlier try: checks whether that try was stored after all. */
  async #checkStored(tries: number): Promise<void> {
    const { key, next } = this.#stream;
    try {
      const kept = await this.#log.replay(key, next - 1);
      if (this.outcome !== undefined) return;
      const there = this.#events().every((json, n) => {
        const event = kept.found ? kept.events[n] : undefined;
        return event?.offset === next + n && event.data === json;
      });
      const complete = this.#waiting[this.#sent - 1]?.last !== true || (kept.found && kept.complete);
      if (kept.found && there && complete) this.#stored();
      else await this.#refused(tries);
    } catch (error) {
      this.#failed(error, tries);
    }
  }

  #tellEmptied(): void {
    const emptied = this.#emptied;
    if (emptied === undefined || this.busy) return;
    this.#emptied = undefined;
    for (const then of emptied) then();
  }
}

/** How many of the first writes one append can carry: markers come with its first write and go with its last. */
function togetherIn(writes: readonly Write[]): number {
  for (let n = 0; n < writes.length; n++) {
    const extra = writes[n]?.extra;
    if (n > 0 && extra?.mark !== undefined) return n;
    if (extra?.unmark !== undefined || writes[n]?.last === true) return n + 1;
  }
  return writes.length;
}

/** What the append that begins with one write and ends with another carries. */
export function carriedBy(
  first: AppendExtra | undefined,
  last: AppendExtra | undefined,
  complete: boolean,
): CarriedExtra | undefined {
  if (first === undefined && last === undefined) return undefined;
  return { note: complete ? undefined : first?.note?.(), mark: first?.mark, unmark: last?.unmark };
}
