/** A call of a handler of `once()`, as the ledger of its endpoint takes it (`ledger.ts`). */

/**
 * How a call ended before its outcome. `timedOut`: its `callTimeoutMs` is over. `cancelled`: its client said so. `left`: its
 * client disconnected, which is all that a client of 2026-07-28 can do, or its session left this instance.
 */
export type OnceCallEnd = 'timedOut' | 'cancelled' | 'left';

/** What a call says when its entry was left by a crash. `ask`: it asks the application while it owns the entry. */
export type AfterCrashKind = 'run' | 'fail' | 'ask';

/** What a call makes of its entry in the store. */
export interface OnceEntry {
  /** A hash of whose key it is, the tool and the key. */
  readonly id: string;
  readonly tool: string;
  /** A hash of the arguments as the client sent them. */
  readonly args: string;
  /** Whose share of the memory its result takes until it is stored. */
  readonly share: string;
  /** How long its outcome is known, in ms. */
  readonly keepMs: number;
  /** A disconnect of the last client that waits ends the run. */
  readonly endsWithClient: boolean;
}

/** One call of a tool that runs once for each key. */
export interface OnceCall {
  readonly entry: OnceEntry;
  /** The id of its session, where it has one. */
  readonly session: string | undefined;
  /** The user that the entry counts for in the store. */
  readonly userKey: string | undefined;
  readonly signal: AbortSignal;
  /** `then` is called when the time of its handler is over (`callTimeoutMs`) and `signal` had aborted before that. */
  onExpiry(then: () => void): void;
  /** Call it when `signal` has aborted. */
  ended(): OnceCallEnd;
  afterCrash(): Promise<AfterCrashKind>;
  /** `undefined`: its session has no marker for it. Else whether its tool has `_meta: RUNS_ONCE`. */
  readonly declaresOnce: (() => Promise<boolean>) | undefined;
  /** Asks the application what the lost run did: a result, `'run'` or `'fail'`. */
  asks(signal: AbortSignal): Promise<unknown>;
  /** Runs the handler. */
  start(signal: AbortSignal): unknown;
}

// ——— what a handler throws to say what its run has done ———

const undone = new WeakSet<Error>();

/**
 * To throw in a handler of `once()`: the call had no effect, so its key may run again. Returns the error, which is
 * answered as any other.
 */
export function nothingDone(error: Error): Error {
  undone.add(error);
  return error;
}

export const isUndone = (cause: unknown): boolean => cause instanceof Error && undone.has(cause);
