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
  /** The append of the oldest event, where that is under way already. */
  #begun: MaybePromise<WriteOutcome> | undefined = undefined;
  /** Appends are under way, or wait for room. */
  #runs = false;
  #state: QueueState = 'open';
  #isAhead = false;
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
    this.#waiting.push({ json, last, extra, tell, held: hasRoom ? held : 0 });
    this.#begun ??= outcome;
    if (!hasRoom) this.#lose('failed');
    else if (!this.#runs && this.#state !== 'gathering') void this.#run();
    else if (last) this.endTurn();
  }

  /** Appends the gathered events. */
  endTurn(): void {
    if (this.#state !== 'gathering') return;
    this.#become('opening');
    void this.#run();
  }

  /** Until nothing waits. */
  async #run(): Promise<void> {
    this.#runs = true;
    while (this.busy) {
      const room = this.#begun === undefined ? this.#stream.room() : undefined;
      if (room !== undefined) {
        await room;
        continue;
      }
      const writes = this.#waiting.slice(0, this.#begun === undefined ? togetherIn(this.#waiting) : 1);
      const result = await this.#store(writes);
      if (this.outcome !== undefined) break;
      if (result === 'written') this.#stored(writes.length);
      else this.#lose(result);
    }
    this.#runs = false;
    this.#tellEmptied();
  }

  /** Tries an append until the store has answered. Logs its first failure. */
  async #store(writes: readonly Write[]): Promise<WriteResult> {
    const { options, ownership } = this.#log;
    const { timeProvider: time, waitMs } = options;
    let failedAt = 0;
    for (let tries = 0; this.outcome === undefined;) {
      const { epoch } = ownership;
      try {
        const begun = this.#begun ?? this.#append(writes);
        this.#begun = undefined;
        const outcome = await begun;
        // Where it was tried before, that try may have been stored after all.
        if (outcome === 'written' || (tries > 0 && (await this.#isStored(writes)))) return 'written';
        if (!(await ownership.claimedSince(epoch))) return 'fenced';
      } catch (error) {
        if (tries === 0) {
          this.#log.failed(error);
          failedAt = time.monotonic();
          this.#stream.noteDelay();
        }
        if (this.#state === 'opening' && time.monotonic() - failedAt >= waitMs) return 'failed';
        await pause(time, tries);
        if (ownership.left) return 'failed';
        tries += 1;
      }
    }
    return 'failed';
  }

  #append(writes: readonly Write[]): MaybePromise<WriteOutcome> {
    const { key, next } = this.#stream;
    const [first, last] = [writes[0], writes.at(-1)];
    const isLast = last?.last === true;
    return this.#log.append(key, next, eventsOf(writes), isLast, carriedBy(first?.extra, last?.extra, isLast));
  }

  async #isStored(writes: readonly Write[]): Promise<boolean> {
    const { key, next } = this.#stream;
    const kept = await this.#log.replay(key, next - 1);
    if (!kept.found || (writes.at(-1)?.last === true && !kept.complete)) return false;
    return eventsOf(writes).every((json, n) => {
      const event = kept.events[n];
      return event?.offset === next + n && event.data === json;
    });
  }

  #stored(count: number): void {
    const stored = this.#waiting.splice(0, count);
    if (this.#state === 'opening') this.#become('open');
    this.#isAhead = false;
    for (const { json, last, tell, held } of stored) {
      this.#log.release(held);
      this.#stream.stored(json, last);
      tell?.('written');
    }
  }

  #lose(why: 'fenced' | 'failed'): void {
    const lost = this.#waiting;
    this.#waiting = [];
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

  #tellEmptied(): void {
    const emptied = this.#emptied;
    if (emptied === undefined || this.busy) return;
    this.#emptied = undefined;
    for (const then of emptied) then();
  }
}

const eventsOf = (writes: readonly Write[]): string[] => writes.flatMap(({ json }) => json ?? []);

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
