/** What a stream needs of the event log of its session, and what one append to the log can carry. */
import type { RequestId } from '@modelcontextprotocol/server';
import type { AppendRequest, MaybePromise, ReplayOutcome, WriteOutcome } from '../../stores/store.ts';

/** The request that a stream answers. */
export interface AnsweredCall {
  readonly id: RequestId;
  readonly method: string;
}

/** What an append may carry besides events. */
export type AppendExtra = Pick<AppendRequest, 'mark' | 'unmark'> & {
  /** Called only when the append does not complete the stream. */
  readonly note?: () => string;
};

/** `AppendExtra` with its note written out. */
export type CarriedExtra = Pick<AppendRequest, 'note' | 'mark' | 'unmark'>;

/** `'failed'`: the store was not reached. */
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
  /**
   * For a reader. Where retention has dropped the next events of a POST's stream, it reads the kept events after them,
   * the answer included.
   */
  read(stream: string, after: number): MaybePromise<ReplayOutcome>;
  /** `suffix` names the request that the stream answers, and a resume (`event-id.ts`). */
  eventId(stream: string, offset: number, suffix: string): string;
  readonly retryMs: number;
  /** Priming events have an empty data field. */
  readonly emptyData: boolean;
  /** The store refused a write: another instance owns the session. */
  fenced(): void;
  readonly epoch: number;
  /** Whether only a later claim of this instance caused the refusal of a write under `epoch`. */
  claimedSince(epoch: number): MaybePromise<boolean>;
  /**
   * The error that a client gets instead of an answer that the store refused; `undefined` where the client resumes
   * after a stream that ended, and then learns the outcome.
   */
  lostAnswer(call: AnsweredCall): string | undefined;
  /**
   * Charges an event that waits for the store to the memory budget. `false`: there is no room, so the stream is not
   * stored any further.
   */
  hold(bytes: number): boolean;
  /** Such an event does not wait any more. */
  release(bytes: number): void;
  /** The store was not reached. */
  failed(error: unknown): void;
  /** Waits before try number `tries + 1`. `false`: the session has left, so stop. */
  again(tries: number): Promise<boolean>;
  /** ms by the monotonic clock. */
  now(): number;
  /** How long an event waits for a store that is away. */
  readonly waitMs: number;
}

/** One event that a stream writes. */
export interface Write {
  /** `undefined`: the stream completes without an event. */
  readonly json: string | undefined;
  readonly last: boolean;
  readonly extra: AppendExtra | undefined;
  readonly tell: ((result: WriteResult) => void) | undefined;
  /** Charged to the memory budget. */
  readonly held: number;
}

/** How many of the first writes one append can carry: markers come with its first write and go with its last. */
export function togetherIn(writes: readonly Write[]): number {
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
  const note = complete ? undefined : first?.note?.();
  const mark = first?.mark;
  const unmark = last?.unmark;
  return {
    ...(note !== undefined && { note }),
    ...(mark !== undefined && { mark }),
    ...(unmark !== undefined && { unmark }),
  };
}
