/**
 * Events of one stream that wait for their store. They are appended in order, one append at a time, and those that
 * arrive during an append go together into the next one. An append with an unknown outcome (the store was not reached,
 * or its answer was lost) is retried until it is stored, or another instance owns the session:
 *
 *     gathered ──end of turn, or complete──▶ appended ──▶ stored
 *                                               │ ╰──refused──▶ fenced, or appended again under the next claim
 *                                               ╰──failed──▶ retried ──▶ stored, or refused: stored already
 *
 * A stream has such writes only while an event waits. It fails when its first append was not stored within `maxWaitMs`, or
 * its session left. The stream itself says when the memory budget has no room.
 */
import type { Room } from '../../http/sink.ts';
import type { MaybePromise, WriteOutcome } from '../../stores/store.ts';
import { pause } from '../record/pause.ts';
import { GET_STREAM } from './event-id.ts';
import type { AppendExtra, SessionEventLog, WriteResult } from './event-log.ts';

/** A waiting event counts this many times in the memory budget: the message, its text, and the copies of the store. */
const EVENT_WEIGHT = 4;

/** What an event of so many characters takes of the memory budget while it waits. */
export const weightOf = (json: string | undefined): number => (json?.length ?? 0) * EVENT_WEIGHT;

/** An event on its way into the store. */
export interface WaitingWrite {
  /** `undefined`: the stream completes without an event. `''`: an event with only an id. */
  readonly json: string | undefined;
  /** The stream is complete with it. */
  readonly last: boolean;
  readonly extra?: AppendExtra | undefined;
  tell?: ((result: WriteResult) => void) | undefined;
  /** Charged to the memory budget; 0 once the append under way has the charge. */
  held: number;
}

/** The stream of these writes. */
interface WrittenStream {
  readonly key: string;
  /** The offset of its next event. */
  readonly next: number;
  /** The store was away at the first try of a write. */
  noteDelay(): void;
  /** For events of so many bytes that are about to be stored. */
  room(bytes: number): Room;
  stored(write: WaitingWrite): void;
  /** Nothing more is stored. `answered`: the answer of the call was among what is lost. */
  lose(why: 'fenced' | 'failed', answered: boolean): void;
  /** Nothing waits any more. */
  drained(): void;
}

export class WaitingWrites {
  readonly #stream: WrittenStream;
  readonly #log: SessionEventLog;
  /** Oldest first, including the append under way. */
  #writes: WaitingWrite[] = [];
  /**
   * `gathering`: the first append of the stream collects the events of its turn. `storing`: an append is under way, or
   * waits for room. `skipping`: a GET stream without room drops events until none waits. `lost`: nothing is stored any
   * more.
   */
  #state: 'new' | 'gathering' | 'storing' | 'skipping' | 'lost' = 'new';
  /**
   * Requests run although the first event of the stream is not stored. If that fails, the caller of `gather` ends the
   * sink.
   */
  runsAhead = false;

  constructor(stream: WrittenStream, log: SessionEventLog) {
    this.#stream = stream;
    this.#log = log;
  }

  get size(): number {
    return this.#writes.length;
  }

  get skips(): boolean {
    return this.#state === 'skipping';
  }

  skip(): void {
    this.#state = 'skipping';
  }

  /** Opens the stream together with the other events of this turn: at once when they complete it, else at its end. */
  gather(extra: AppendExtra, tell: (result: WriteResult) => void): void {
    this.#state = 'gathering';
    this.runsAhead = true;
    this.#writes.push({ json: '', last: false, extra, tell, held: 0 });
  }

  /** `begun`: its append, which is under way; `undefined`: the event waits for other events, or for room. */
  add(write: WaitingWrite, begun?: MaybePromise<WriteOutcome>): void {
    this.#writes.push(write);
    if (this.#state === 'new') this.#begin(begun);
    else if (write.last) this.endTurn();
  }

  /** The turn of the event loop ends, and the response of the sink has not begun. Appends the gathered events. */
  endTurn(): void {
    if (this.#state === 'gathering') this.#begin();
  }

  #begin(begun?: MaybePromise<WriteOutcome>): void {
    this.#state = 'storing';
    void this.#run(begun);
  }

  /** Calls `then` when every event so far is stored, or will never be. */
  whenFlushed(then: () => void): void {
    const last = this.#writes.at(-1);
    if (last === undefined) return then();
    const { tell } = last;
    last.tell = (result) => {
      tell?.(result);
      then();
    };
  }

  /** Nothing of this will be stored. `write`: one more that there is no room for. */
  lose(why: 'fenced' | 'failed', write?: WaitingWrite): void {
    const lost = write === undefined ? this.#writes : [...this.#writes, write];
    this.#writes = [];
    this.#state = 'lost';
    if (why === 'fenced') this.#log.ownership.fenced();
    this.#stream.lose(
      why,
      lost.some(({ json, last }) => last && json !== undefined),
    );
    for (const { tell, held } of lost) {
      this.#log.release(held);
      tell?.(why);
    }
  }

  get #isLost(): boolean {
    return this.#state === 'lost';
  }

  /** Until nothing waits. `begun`: the append of the first event. */
  async #run(begun?: MaybePromise<WriteOutcome>): Promise<void> {
    let append = begun;
    while (this.#writes.length > 0) {
      const writes = this.#writes.slice(0, append === undefined ? undefined : 1);
      let held = 0;
      for (const write of writes) held += write.held;
      const room = append === undefined ? this.#stream.room(held / EVENT_WEIGHT) : undefined;
      if (room instanceof Promise) {
        await room;
        continue;
      }
      // The store has them until it answers, also where the stream is lost before.
      for (const write of writes) write.held = 0;
      const result = await this.#store(writes, append);
      this.#log.release(held);
      append = undefined;
      if (!this.#isLost && result === 'written') this.#written(writes);
      else if (!this.#isLost) this.lose(result === 'fenced' ? 'fenced' : 'failed');
      room?.();
    }
    if (this.#isLost) return;
    this.#stream.drained();
    if (this.skips) this.#log.skipped();
  }

  /** Tries an append until the store has answered. `begun`: the first try. Logs its first failure. */
  async #store(
    writes: readonly WaitingWrite[],
    begun: MaybePromise<WriteOutcome> | undefined,
  ): Promise<WriteResult> {
    const { options, ownership } = this.#log;
    const { timeProvider: time, maxWaitMs } = options;
    const { key, next } = this.#stream;
    // Nothing was sent, so the client is answered. A GET stream answers no request.
    const opens = next === 0 && key !== GET_STREAM;
    const until = opens ? time.monotonic() + maxWaitMs : Infinity;
    let append = begun;
    for (let tries = 0; !this.#isLost;) {
      const { epoch } = ownership;
      try {
        append ??= this.#append(writes);
        if ((await append) === 'written') return 'written';
        if (!(await ownership.claimedSince(epoch))) return 'fenced';
      } catch (error) {
        if (tries === 0) {
          this.#log.failed(error);
          this.#stream.noteDelay();
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

  #append(writes: readonly WaitingWrite[]): MaybePromise<WriteOutcome> {
    const { key, next } = this.#stream;
    const [first, last] = [writes[0], writes.at(-1)];
    const events = writes.flatMap(({ json }) => json ?? []);
    return this.#log.append(key, next, events, last?.last === true, first?.extra, last?.extra);
  }

  #written(writes: readonly WaitingWrite[]): void {
    this.#writes.splice(0, writes.length);
    this.runsAhead = false;
    for (const write of writes) {
      this.#stream.stored(write);
      write.tell?.('written');
    }
  }
}
