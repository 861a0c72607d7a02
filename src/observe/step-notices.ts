/**
 * The notices about an instance, its store, and calls and streams on their way. `notices.ts` has the others, and who
 * emits which.
 */

/** This instance has a lease: at its start, and under another id after its lease lapsed. */
export interface JoinedNotice {
  readonly kind: 'joined';
  /** The id of this instance from now on. */
  readonly instance: string;
  /** The id before, whose lease lapsed. Absent at the start. */
  readonly before?: string;
}

/** The lease of this instance ran out, or another instance removed it. Its sessions wait until it has another one. */
export interface LeaseLapsedNotice {
  readonly kind: 'leaseLapsed';
  /** The id that is dead now. */
  readonly instance: string;
  /** The lease had time left and the store no longer had it: the store lost data, or its entries were deleted. */
  readonly lost: boolean;
}

/** This instance removed the lease of an instance that gets no messages: it crashed, or is cut off. */
export interface LeaseRemovedNotice {
  readonly kind: 'leaseRemoved';
  /** The other instance. Its sessions continue at the instances that get their next requests. */
  readonly instance: string;
}

/** The session store cannot be reached, or refuses calls. Requests that need it wait. */
export interface StoreAwayNotice {
  readonly kind: 'storeAway';
  /** What the client of the store said. */
  readonly error: Error;
}

export interface StoreBackNotice {
  readonly kind: 'storeBack';
  /** How long it was away. */
  readonly ms: number;
}

/** One call to the session store has ended. */
export interface StoreCallNotice {
  readonly kind: 'storeCall';
  /** A part and its method: `sessions.append`, `calls.create`, `instances.renew`. `mark`: an append without events. */
  readonly operation: string;
  readonly ms: number;
  /** The store could not be reached, or refused. */
  readonly failed: boolean;
}

export interface DrainBegunNotice {
  readonly kind: 'drainBegun';
}

export interface DrainedNotice {
  readonly kind: 'drained';
  /** Sessions that were given back to the store. */
  readonly released: number;
  /** Requests that were still running at the deadline. */
  readonly interrupted: number;
  readonly ms: number;
}

/** A call of a client that is connected here was passed to the instance that owns its session, and has ended there. */
export interface RelayedNotice {
  readonly kind: 'relayed';
  readonly to: string;
  /**
   * `done`: it was answered, or its client left. `refused`: the owner did not run it, and it is placed again. `lost`:
   * the owner died, or left, before its answer. `unreachable`: the owner lives and messages to it do not pass.
   */
  readonly outcome: 'done' | 'refused' | 'lost' | 'unreachable';
  readonly ms: number;
  readonly sessionId: string | undefined;
}

/** A call of a session waited, because the store, the lease or a place was missing. */
export interface WaitedNotice {
  readonly kind: 'waited';
  /** The last cause: an error code in lower case, such as `store_away`, `lapsed`, `too_many_requests`. */
  readonly reason: string;
  /** `served`: a session or its owner took it. `refused`: its client got the error. `left`: its client gave up. */
  readonly outcome: 'served' | 'refused' | 'left';
  readonly ms: number;
  /** `undefined`: it opens a session. */
  readonly sessionId: string | undefined;
}

/** The instance that ran this call died, and the call was found without an answer. */
export interface CallLostNotice {
  readonly kind: 'callLost';
  /** It runs again on this instance. `false`: its client gets the error `owner_lost`. */
  readonly runsAgain: boolean;
  /** `undefined`: the store did not keep the request. */
  readonly method: string | undefined;
  /** Absent for calls of 2026-07-28. */
  readonly sessionId?: string;
}

/**
 * What a call of `once()` got that did not run the handler. `attached`: the outcome of a run that it waited for.
 * `replayed`: the outcome of an earlier call. `conflict`: an earlier call with its key had other arguments. `unknown`:
 * an earlier call may have run, and its result is not known.
 */
export type OnceHow = 'attached' | 'replayed' | 'conflict' | 'unknown';

/** A call of a tool that runs once did not run it. */
export interface OnceAnsweredNotice {
  readonly kind: 'onceAnswered';
  readonly tool: string;
  readonly how: OnceHow;
  readonly sessionId: string | undefined;
}

/** A call became a task of this instance: its record is stored. */
export interface TaskCreatedNotice {
  readonly kind: 'taskCreated';
  readonly taskId: string;
  readonly tool: string;
}

/** A run of a task begins here that is not its first. */
export interface TaskContinuedNotice {
  readonly kind: 'taskContinued';
  readonly taskId: string;
  readonly tool: string;
  /** `answered`: its client did. `released`: another run was over, in a drain for example. `takeover`: one died. */
  readonly cause: 'answered' | 'released' | 'takeover';
  /** 1, and 1 more after each crash. */
  readonly attempt: number;
}

/** A run of a task is over here, and the task has not ended. */
export interface TaskReleasedNotice {
  readonly kind: 'taskReleased';
  readonly taskId: string;
  readonly tool: string;
  /** `parked`: it waits for its client. `queued`: for another run. `detached`: for `complete` or `fail`. */
  readonly state: 'parked' | 'queued' | 'detached';
}

/** A task ended, and this instance stored that. */
export interface TaskEndedNotice {
  readonly kind: 'taskEnded';
  readonly taskId: string;
  /** `undefined`: its time was over. */
  readonly tool: string | undefined;
  readonly status: 'completed' | 'failed' | 'cancelled' | 'expired';
  /** The reason of an error of this library, such as `owner_lost`. */
  readonly reason: string | undefined;
  /** From its creation. `undefined`: its time was over. */
  readonly ms: number | undefined;
}

/** A client came back to a stream, with the id of the last event that it has. */
export interface ResumedNotice {
  readonly kind: 'resumed';
  /**
   * `continued`: it got the events after that one. `finished`: nothing followed. `gap`: those events were not kept. The
   * client then gets a new stream of messages, or an error for its call.
   */
  readonly outcome: 'continued' | 'finished' | 'gap';
  /** Absent for calls of 2026-07-28. */
  readonly sessionId?: string;
}

/** What only listeners with `details` get: they can be as many as the requests. */
export type DetailNotice = StoreCallNotice | RelayedNotice | ResumedNotice;

export type StepNotice =
  | JoinedNotice
  | LeaseLapsedNotice
  | LeaseRemovedNotice
  | StoreAwayNotice
  | StoreBackNotice
  | DrainBegunNotice
  | DrainedNotice
  | WaitedNotice
  | CallLostNotice
  | OnceAnsweredNotice
  | TaskCreatedNotice
  | TaskContinuedNotice
  | TaskReleasedNotice
  | TaskEndedNotice
  | DetailNotice;
