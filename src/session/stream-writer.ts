/**
 * What a logged stream writes into the store, in order. A write whose outcome is unknown (the store could not be asked, or
 * its answer was lost) is tried again until it is stored or somebody else owns the session; those behind it wait:
 *
 *     written ─▶ stored          refused ─▶ after a failure before it: tried again; else somebody else owns the session
 *     failed  ─▶ tried again ─▶ written, or refused: it is there already, or somebody else owns the session
 */
import type { AppendRequest, Await, ReplayOutcome, WriteOutcome } from '../stores/store.ts';

/** What an append may carry besides its events. */
export type AppendExtra = Pick<AppendRequest, 'requests' | 'mark' | 'unmark'>;

/** `'failed'`: the store could not be asked. */
export type WriteResult = WriteOutcome | 'failed';

/** What a stream needs of its session. */
export interface StreamLog {
  append(
    stream: string,
    from: number,
    events: readonly string[],
    complete: boolean,
    extra: AppendExtra | undefined,
  ): Await<WriteOutcome>;
  replay(stream: string, after: number): Await<ReplayOutcome>;
  eventId(stream: string, offset: number): string;
  readonly retryMs: number;
  /** The store refused a write: somebody else owns the session. */
  fenced(): void;
  /** The store could not be asked. */
  failed(error: unknown): void;
  /** Waits before try number `tries + 1`; `false`: the session has left, nothing is tried any more. */
  again(tries: number): Promise<boolean>;
}

/** Who is told, in the order of writing. */
export interface Written {
  stored(json: string | undefined, offset: number, last: boolean): void;
  /** It takes long: the reader had better come back later. */
  late(): void;
  /** It never will be. */
  lost(): void;
}

interface Write {
  /** `undefined`: the stream completes without an event. */
  readonly json: string | undefined;
  readonly from: number;
  readonly last: boolean;
  readonly extra: AppendExtra | undefined;
}

/** Some 300 ms: as long as a reader is kept waiting for a store that cannot be asked. */
const READER_TRIES = 4;

export class StreamWriter {
  readonly #key: string;
  readonly #log: StreamLog;
  readonly #written: Written;
  #next: number;
  #pending: Promise<unknown> | undefined;
  /** Something failed: a refusal may only mean that what went before it is missing. */
  #shaken = false;
  #told = false;
  #unopened = false;

  constructor(key: string, log: StreamLog, written: Written, next: number) {
    this.#key = key;
    this.#log = log;
    this.#written = written;
    this.#next = next;
  }

  /** Something is on its way into the store. */
  get busy(): boolean {
    return this.#pending !== undefined;
  }

  async settled(): Promise<void> {
    await this.#pending;
  }

  /** `once`: it opens the stream, and a failure is the outcome: whoever waits for it says so to the client. */
  write(json: string | undefined, last: boolean, extra: AppendExtra | undefined, once = false): Await<WriteResult> {
    const from = this.#next;
    if (json !== undefined) this.#next += 1;
    const outcome = this.#append(json, from, last, extra);
    if (!(outcome instanceof Promise) && this.#pending === undefined && (once || outcome !== 'failed')) {
      return this.#done(json, from, last, outcome);
    }
    const write = { json, from, last, extra };
    const settled = (this.#pending ?? Promise.resolve()).then(async () => this.#settle(write, await outcome, once));
    const queue: Promise<unknown> = settled.finally(() => {
      if (this.#pending === queue) this.#pending = undefined;
    });
    this.#pending = queue;
    return settled;
  }

  /** Everything before it is settled. */
  async #settle(write: Write, first: WriteResult, once: boolean): Promise<WriteResult> {
    const { json, from, last, extra } = write;
    let outcome = first;
    // What opens the stream is not stored, so nothing after it can be.
    if (this.#unopened) return 'failed';
    this.#unopened = once && outcome !== 'written';
    if (outcome === 'fenced' && this.#shaken) outcome = await this.#append(json, from, last, extra);
    for (let tries = 0; outcome === 'failed' && !once; tries++) {
      this.#shaken = true;
      if (tries === READER_TRIES) this.#written.late();
      if (!(await this.#log.again(tries))) break;
      outcome = await this.#append(json, from, last, extra);
      if (outcome === 'fenced') outcome = await this.#stands(write);
    }
    return this.#done(json, from, last, outcome);
  }

  #done(json: string | undefined, from: number, last: boolean, outcome: WriteResult): WriteResult {
    if (outcome === 'written') {
      this.#told = false;
      this.#written.stored(json, from, last);
    } else {
      if (outcome === 'fenced') this.#log.fenced();
      this.#written.lost();
    }
    return outcome;
  }

  #append(json: string | undefined, from: number, last: boolean, extra: AppendExtra | undefined): Await<WriteResult> {
    try {
      const outcome = this.#log.append(this.#key, from, json === undefined ? [] : [json], last, extra);
      return outcome instanceof Promise ? outcome.catch((error: unknown) => this.#failed(error)) : outcome;
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Said once, until something is stored again. */
  #failed(error: unknown): 'failed' {
    if (!this.#told) this.#log.failed(error);
    this.#told = true;
    return 'failed';
  }

  /** Whether an earlier try was stored after all. */
  async #stands({ json, from, last }: Write): Promise<WriteResult> {
    try {
      const kept = await this.#log.replay(this.#key, from - 1);
      const there =
        json === undefined || (kept.found && kept.events[0]?.offset === from && kept.events[0].data === json);
      return kept.found && there && (!last || kept.complete) ? 'written' : 'fenced';
    } catch (error) {
      return this.#failed(error);
    }
  }
}
