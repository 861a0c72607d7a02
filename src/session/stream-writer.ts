/**
 * What a logged stream writes into the store, in order: one append at a time, and what comes meanwhile goes together with the
 * next. An append whose outcome is unknown (the store could not be asked, or its answer was lost) is tried again until it is
 * stored or somebody else owns the session; those behind it wait:
 *
 *     gathering ─end of turn, or complete─▶ written ─▶ stored          refused ─▶ somebody else owns the session, or
 *                                                                                 we do again: written once more
 *                                           failed  ─▶ tried again ─▶ written, or refused: it is there already, or …
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { AppendRequest, MaybePromise, ReplayOutcome, WriteOutcome } from '../stores/store.ts';

/** The request that a stream answers. */
export interface AnsweredCall {
  readonly id: RequestId;
  readonly method: string;
}

/** What an append may carry besides its events. */
export type AppendExtra = Pick<AppendRequest, 'mark' | 'unmark'> & {
  /** Of a stream that is to stay open for longer; made when it does. */
  readonly requests?: () => string;
};

/** The same as an append carries it. */
export type CarriedExtra = Pick<AppendRequest, 'requests' | 'mark' | 'unmark'>;

/** `'failed'`: the store could not be asked. */
export type WriteResult = WriteOutcome | 'failed';

/** What a stream needs of its session. */
export interface StreamLog {
  append(
    stream: string,
    from: number,
    events: readonly string[],
    complete: boolean,
    extra: CarriedExtra | undefined,
  ): MaybePromise<WriteOutcome>;
  replay(stream: string, after: number): MaybePromise<ReplayOutcome>;
  /** For a reader: where retention has dropped what comes next on a POST's stream, what is kept after it, the answer with it. */
  read(stream: string, after: number): MaybePromise<ReplayOutcome>;
  /** `suffix`: of the request that the stream answers, and of a resume (`event-id.ts`). */
  eventId(stream: string, offset: number, suffix: string): string;
  readonly retryMs: number;
  /** Priming events have an empty data field. */
  readonly emptyData: boolean;
  /** The store refused a write: somebody else owns the session. */
  fenced(): void;
  readonly epoch: number;
  /** Whether only our own next claim overtook a write that was refused under an epoch. */
  claimedSince(epoch: number): MaybePromise<boolean>;
  /**
   * The error that a client gets in place of an answer that the store refused; `undefined` where the client comes back after a
   * stream that ended, and finds out then.
   */
  lostAnswer(call: AnsweredCall): string | undefined;
  /** The store could not be asked. */
  failed(error: unknown): void;
  /** Waits before try number `tries + 1`; `false`: the session has left, nothing is tried any more. */
  again(tries: number): Promise<boolean>;
  /** ms by the monotonic clock. */
  now(): number;
  /** How long an event waits for a store that is away. */
  readonly waitMs: number;
}

/** Who is told, in the order of writing. */
export interface Written {
  stored(json: string | undefined, offset: number, last: boolean): void;
  /** It never will be. `answered`: the answer of its call is among what is lost. */
  lost(answered: boolean): void;
}

interface Write {
  /** `undefined`: the stream completes without an event. */
  readonly json: string | undefined;
  readonly last: boolean;
  readonly extra: AppendExtra | undefined;
  readonly tell: ((result: WriteResult) => void) | undefined;
}

/** The store could not be asked, or its answer was lost. */
interface Unknown {
  readonly error: unknown;
}

export class StreamWriter {
  readonly #key: string;
  readonly #log: StreamLog;
  readonly #written: Written;
  /** What is stored so far. */
  #length: number;
  /** Oldest first, those of the append under way included. */
  #waiting: Write[] = [];
  /** How many of them that append carries. */
  #sent = 0;
  #gathering = false;
  /** The first of those that wait opens the stream: after `waitMs` it is not tried again. */
  #opening = false;
  /** Under which that append was written. */
  #epoch = 0;
  /** When an append last failed at its first try. */
  #failedAt = 0;
  /** An append could not reach the store at its first try. */
  delayed = false;
  /** Nothing is stored any more. */
  #over: 'fenced' | 'failed' | undefined = undefined;
  #settled: Array<() => void> | undefined = undefined;

  constructor(key: string, log: StreamLog, written: Written, next: number) {
    this.#key = key;
    this.#log = log;
    this.#written = written;
    this.#length = next;
  }

  /** Something is on its way into the store. */
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

  /** `opens` the stream: after `waitMs` a failure is the outcome, and the caller answers the client. */
  write(json: string | undefined, last: boolean, extra?: AppendExtra, opens = false): MaybePromise<WriteResult> {
    if (this.#over !== undefined) return this.#over;
    if (opens) this.#opening = true;
    const outcome = this.busy ? undefined : this.#ask(json === undefined ? NO_EVENTS : [json], extra, extra, last);
    if (outcome === 'written') return this.#storedAtOnce(json, last);
    return new Promise((tell) => {
      this.#waiting.push({ json, last, extra, tell });
      if (outcome === undefined) return this.endTurn();
      this.#sent = 1;
      this.#settle(outcome, 0);
    });
  }

  /** Opens the stream with what else is written in this turn: all of it if that completes it, else when the turn ends. */
  open(extra: AppendExtra, tell: (result: WriteResult) => void): void {
    this.#opening = true;
    this.#gathering = true;
    this.#waiting.push({ json: '', last: false, extra, tell });
  }

  send(json: string | undefined, last: boolean, unmark?: string): void {
    if (this.#over !== undefined) {
      if (last) this.#written.lost(json !== undefined);
      return;
    }
    const extra = unmark === undefined ? undefined : { unmark };
    const outcome = this.busy ? undefined : this.#ask(json === undefined ? NO_EVENTS : [json], extra, extra, last);
    if (outcome === 'written') return void this.#storedAtOnce(json, last);
    this.#waiting.push({ json, last, extra, tell: undefined });
    if (outcome !== undefined) {
      this.#sent = 1;
      this.#settle(outcome, 0);
    } else if (last) this.endTurn();
  }

  /** What was gathered is written. */
  endTurn(): void {
    if (!this.#gathering) return;
    this.#gathering = false;
    this.#next();
  }

  /** By a store that answers at once: nothing ever waits. */
  #storedAtOnce(json: string | undefined, last: boolean): 'written' {
    const from = this.#length;
    this.#opening = false;
    if (json !== undefined) this.#length += 1;
    this.#written.stored(json, from, last);
    return 'written';
  }

  #next(): void {
    this.#sent = together(this.#waiting);
    if (this.#sent > 0) this.#append(0);
    else this.#tellSettled();
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
      return this.#log.append(this.#key, this.#length, events, complete, carried(first, last, complete));
    } catch (error) {
      return { error };
    }
  }

  #settle(outcome: MaybePromise<WriteOutcome> | Unknown, tries: number): void {
    if (outcome instanceof Promise) {
      outcome.then(
        (settled) => this.#settle(settled, tries),
        (error: unknown) => this.#failed(error, tries),
      );
    } else if (typeof outcome === 'object') this.#failed(outcome.error, tries);
    else if (outcome === 'written') this.#stored();
    else if (tries > 0) void this.#stands(tries);
    else this.#refused(tries);
  }

  #refused(tries: number): void {
    const ours = this.#log.claimedSince(this.#epoch);
    const then = (again: boolean): void => (again ? this.#append(tries) : this.#lose('fenced'));
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
    this.#opening = false;
    for (const { json, last, tell } of stored) {
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
    this.#over = why;
    if (why === 'fenced') this.#log.fenced();
    this.#written.lost(lost.some(({ json, last }) => last && json !== undefined));
    for (const { tell } of lost) tell?.(why);
    this.#tellSettled();
  }

  /** Said once for an append. */
  #failed(error: unknown, tries: number): void {
    const { waitMs } = this.#log;
    if (tries === 0) {
      this.#log.failed(error);
      this.#failedAt = this.#log.now();
      this.delayed = true;
    }
    const waited = this.#log.now() - this.#failedAt;
    if (this.#opening && waited >= waitMs) return this.#lose('failed');
    void this.#log.again(tries).then((again) => (again ? this.#append(tries + 1) : this.#lose('failed')));
  }

  /** It was refused after an earlier try: whether that was stored after all. */
  async #stands(tries: number): Promise<void> {
    try {
      const kept = await this.#log.replay(this.#key, this.#length - 1);
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

/** How many of the first an append can carry: markers come with its first and go with its last. */
function together(writes: readonly Write[]): number {
  for (let n = 0; n < writes.length; n++) {
    const extra = writes[n]?.extra;
    if (n > 0 && extra?.mark !== undefined) return n;
    if (extra?.unmark !== undefined || writes[n]?.last === true) return n + 1;
  }
  return writes.length;
}

const NO_EVENTS: readonly string[] = [];

function carried(
  first: AppendExtra | undefined,
  last: AppendExtra | undefined,
  complete: boolean,
): CarriedExtra | undefined {
  if (first === undefined && last === undefined) return undefined;
  const requests = complete ? undefined : first?.requests?.();
  const mark = first?.mark;
  const unmark = last?.unmark;
  return {
    ...(requests !== undefined && { requests }),
    ...(mark !== undefined && { mark }),
    ...(unmark !== undefined && { unmark }),
  };
}
