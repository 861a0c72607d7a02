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
  /** Never throws: an append that fails rejects. */
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
