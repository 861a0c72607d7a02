/**
 * The notices about an instance, its store, and calls and streams on their way, by their kinds. `notices.ts` has the
 * others, and who emits which.
 */
import type { Implementation } from '@modelcontextprotocol/server';

/** Who did what. */
interface CallEndedFields {
  /** When it ended, in ms since 1970. */
  time: number;
  /** The key of the user who sent it. `undefined`: the call has none. */
  userKey: string | undefined;
  /** What the client states about itself. `undefined`: nothing. */
  client: { readonly name: string; readonly version: string } | undefined;
  /** `undefined`: the call has no session. */
  sessionId: string | undefined;
  method: string;
  /** The name of its tool or prompt. */
  target: string | undefined;
  taskId: string | undefined;
  /**
   * `tool_error`: a result with `isError`. `error`: a JSON-RPC error. `input_required`: it asks its client, which calls
   * again. `task`: it became a task. `cancelled`: by its client, or its client left where nothing brings it back.
   * `timed_out`: by `limits.callTimeoutMs`. `left`: its session left this instance first. The next owner runs it again, or its
   * client gets an error.
   */
  outcome:
    | 'ok'
    | 'tool_error'
    | 'error'
    | 'input_required'
    | 'task'
    | 'cancelled'
    | 'timed_out'
    | 'left';
  /** The code of a JSON-RPC error. */
  error: number | undefined;
  /** The reason that an error of this library gives. */
  reason: string | undefined;
  /** The class of what its handler threw, with the code of a system error: `TypeError`, `Error ENOENT`. */
  threw: string | undefined;
  /** From when the server got it. */
  ms: number;
  /** The id of this instance. */
  instance: string | undefined;
  /** 1, and 1 more after each instance that died while it ran it, or may have run it. */
  run: number;
}

/** Why a callback did not take a POST. */
export type PostFailure =
  | 'connection_refused'
  | 'timeout'
  | 'tls_error'
  | 'http_4xx'
  | 'http_5xx'
  | 'challenge_failed';

/** What each notice tells, by its kind. */
interface StepNotices {
  /** This instance has a lease: at its start, and under another id after its lease lapsed. */
  instanceJoined: {
    /** The id of this instance from now on. */
    instance: string;
    /** The id before, whose lease lapsed. Absent at the start. */
    before?: string;
  };
  /** The lease of this instance ran out, or another instance removed it. Its sessions wait until it has another one. */
  leaseLapsed: {
    /** The id that is dead now. */
    instance: string;
    /** The lease had time left and the store no longer had it: the store lost data, or its entries were deleted. */
    lost: boolean;
  };
  /** This instance removed the lease of an instance that gets no messages: it crashed, or is cut off. */
  leaseRemoved: {
    /** The other instance. Its sessions continue at the instances that get their next requests. */
    instance: string;
  };
  /** The session store cannot be reached, or refuses calls. Requests that need it wait. */
  storeUnavailable: {
    /** What the client of the store said. */
    error: Error;
  };
  storeBack: {
    /** How long it was away. */
    ms: number;
  };
  /** One call to the session store has ended. */
  storeCall: {
    /** A part and its method: `sessions.append`, `instances.renew`. `mark`: an append without events. */
    operation: string;
    ms: number;
    /** The store could not be reached, or refused. */
    failed: boolean;
  };
  drainBegun: object;
  drainEnded: {
    /** Sessions that were given back to the store. */
    released: number;
    /** Requests that were still running at the deadline. */
    interrupted: number;
    ms: number;
  };
  /** A call of a client that is connected here was passed to the owner of its session, and has ended there. */
  requestRelayed: {
    to: string;
    /**
     * `done`: it was answered, or its client left. `refused`: the owner did not run it, and it is placed again. `lost`:
     * the owner died, or left, before its answer. `unreachable`: the owner lives and messages to it do not pass.
     */
    outcome: 'done' | 'refused' | 'lost' | 'unreachable';
    ms: number;
    sessionId: string | undefined;
  };
  /** A call of a session waited, because the store, the lease or a place was missing. */
  requestWaited: {
    /** The last cause: an error code in lower case, such as `store_unavailable`, `lease_lost`, `too_many_requests`. */
    reason: string;
    /** `served`: a session or its owner took it. `refused`: its client got the error. `left`: its client gave up. */
    outcome: 'served' | 'refused' | 'left';
    ms: number;
    /** `undefined`: it opens a session. */
    sessionId: string | undefined;
  };
  /** A run of a request in a server is over, at the instance that ran it: there is one notice for each run. */
  callEnded: CallEndedFields;
  /** The instance that ran this call died, and the call was found without an answer. */
  callLost: {
    /** It runs again on this instance. `false`: its client gets the error `owner_lost`. */
    runsAgain: boolean;
    /** `undefined`: the store did not keep the request. */
    method: string | undefined;
    /** The name of its tool or prompt. */
    target?: string | undefined;
    /** The user key of the owner of its session or task. */
    userKey?: string | undefined;
    /** What the client states about itself. */
    client?: CallEndedFields['client'];
    /** Absent for calls of 2026-07-28. */
    sessionId?: string;
    /** The instance that died. */
    instance?: string | undefined;
    /** The number of the run that was lost. */
    run?: number | undefined;
  };
  /** A call of a tool that runs once did not run it. */
  onceAnswered: {
    tool: string;
    /**
     * `attached`: the outcome of a run that it waited for. `replayed`: the outcome of an earlier call. `conflict`: an
     * earlier call with its key had other arguments. `unknown`: an earlier call may have run, and its result is not
     * known.
     */
    how: 'attached' | 'replayed' | 'conflict' | 'unknown';
    sessionId: string | undefined;
  };
  /** A call became a task of this instance: its record is stored. */
  taskCreated: {
    taskId: string;
    tool: string;
  };
  /** A run of a task begins here that is not its first. */
  taskContinued: {
    taskId: string;
    tool: string;
    /** `answered`: its client did. `released`: another run was over, in a drain for example. `takeover`: one died. */
    cause: 'answered' | 'released' | 'takeover';
    /** 1, and 1 more after each crash. */
    attempt: number;
  };
  /** A run of a task is over here, and the task has not ended. */
  taskReleased: {
    taskId: string;
    tool: string;
    /** `parked`: it waits for its client. `queued`: for another run. `detached`: for `complete` or `fail`. */
    state: 'parked' | 'queued' | 'detached';
  };
  /** A task ended, and this instance stored that. */
  taskEnded: {
    taskId: string;
    /** `undefined`: its time was over. */
    tool: string | undefined;
    status: 'completed' | 'failed' | 'cancelled' | 'expired';
    /** The reason of an error of this library, such as `owner_lost`. */
    reason: string | undefined;
    /** From its creation. `undefined`: its time was over. */
    ms: number | undefined;
  };
  /** An event got its number, at the instance that dispatches events. */
  eventDispatched: {
    /** The name of its type. */
    event: string;
  };
  /** A POST with an event to a callback is over. */
  eventPosted: {
    event: string;
    /** The id that its client and its callback know. */
    subscription: string;
    /** `taken`: the callback answered 2xx. Else why it did not. */
    outcome: 'taken' | PostFailure;
    ms: number;
  };
  /** A subscription with a callback has changed, at the instance that dispatches events. */
  subscriptionChanged: {
    event: string;
    subscription: string;
    /** The user key of its owner. */
    userKey: string;
    /**
     * `added`: made, or found by a new dispatcher. `behind`: its callback fails or is slow, and reads later what it
     * missed. `live`: it has caught up. `suspended`: after many failures, until its client refreshes it. `ended`.
     */
    state: 'added' | 'behind' | 'live' | 'suspended' | 'ended';
  };
  /** A client came back to a stream, with the id of the last event that it has. */
  streamResumed: {
    /**
     * `continued`: it got the events after that one. `finished`: nothing followed. `gap`: those events were not kept:
     * the client gets a new stream of messages, or an error for its call.
     */
    outcome: 'continued' | 'finished' | 'gap';
    /** Absent for calls of 2026-07-28. */
    sessionId?: string;
  };
  /** The first request of a client without a session, by name and version. */
  clientSeen: {
    clientInfo: Implementation;
    protocolVersion: string;
  };
  /**
   * A notification of the application reaches no client: it was sent through the shared server while no handler of its
   * session ran, or by a server whose session or request has ended.
   */
  notificationDropped: {
    sender: 'shared server' | 'ended server';
    /** Chosen by the application. */
    method: string;
  };
  /** A running call changed a list of its server, which no other process has and no restore repeats. */
  listChanged: {
    /** `tools`, for example. */
    list: string;
    /** The call. */
    method: string;
    target: string | undefined;
  };
}

type StepNoticeKind = keyof StepNotices;

/** Those of some kinds. */
export type StepNotice<Of extends StepNoticeKind = StepNoticeKind> = {
  readonly [Name in Of]: { readonly kind: Name } & Readonly<StepNotices[Name]>;
}[Of];
