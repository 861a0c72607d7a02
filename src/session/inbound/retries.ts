/**
 * May a request be tried again, and as what? Each part that must know asks here, and carries the answer out:
 *
 *     an attempt failed                      afterFailure, errorAfter   eras/sessions/router.ts
 *     another instance had the request       afterRelay                 eras/sessions/router.ts
 *     it waits, and an attempt failed        mayWaitOn                  eras/sessions/waiting.ts
 *     its time to wait is over               afterWait                  eras/sessions/waiting.ts
 *     its first event was to be stored       afterStoring               eras/sessions/posts.ts
 *     it comes a second time                 forRepeat                  session/life/repeated-calls.ts
 *     it may have run before                 ranOften                   eras/sessions/posts.ts
 *     its session leaves this instance       forLeaving, endError,      session/calls/session-calls.ts
 *                                            staysResumable
 *     its owner was lost                     forLost                    session/life/repeated-calls.ts
 *     its client resumes                     forResume                  eras/sessions/get.ts
 *     this instance stops                    forStop                    cluster/relay/relay.ts
 *     its session has ended                  endError                   session/calls/session-calls.ts,
 *                                                                       session/streams/event-log.ts
 *     a stream of a session that leaves      staysResumable             session/teardown.ts
 *     it waited, or its relay was cut        abandonedWhileWaiting,     eras/sessions/router.ts
 *                                            relayLost
 *
 * When it is tried again is up to these parts: the router pauses, and `eras/sessions/waiting.ts` has the places of
 * requests that wait.
 */
import {
  beforeItRan,
  callUnreachable,
  type ErrorCode,
  ownerLost,
  requestClosed,
  requestDrained,
  sessionEnded,
  SojournError,
} from '../../base/errors.ts';
import type { LeaveReason } from '../../base/types.ts';
import { requestOf } from '../../base/protocol/methods.ts';
import { attemptOf, endsSession, type Inbound, isAbandoned, isSilent } from './inbound.ts';

/**
 * How often a call may run, over all owners of its session. Its handler may be what ends their processes: beyond this
 * number it would take one process after the other from all users.
 */
export const MOST_RUNS = 3;

// ——— what a failure is ———

const WAITED_FOR: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'LEASE_LOST',
  'STORE_UNAVAILABLE',
  'RESTORE_FAILED',
  'OWNER_UNREACHABLE',
  'TOO_MANY_REQUESTS',
  // A session may end or become idle, and the restore then has room.
  'TOO_MANY_SESSIONS',
  'OVER_MEMORY',
]);
/** How often a factory that fails is called for one call. */
const RESTORES = 3;

/** Whether a call waits for this cause: a lease, the store, or two instances that disagree on an owner. */
function isAway(cause: unknown): cause is SojournError {
  return cause instanceof SojournError && WAITED_FOR.has(cause.code);
}

/** The session runs as many requests as it may. */
export function isFull(cause: unknown): boolean {
  return isAway(cause) && cause.code === 'TOO_MANY_REQUESTS';
}

/** The factory or a hook failed, not the store. */
export function isHookFailure(cause: unknown): boolean {
  return (
    isAway(cause) &&
    cause.code === 'RESTORE_FAILED' &&
    cause.cause !== undefined &&
    !isAway(cause.cause)
  );
}

export function isNotFound(cause: unknown): boolean {
  return cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND';
}

/** `failures`: of hooks, this one included. */
export function mayWaitOn(cause: unknown, failures: number): boolean {
  return isAway(cause) && (failures < RESTORES || !isHookFailure(cause));
}

// ——— a request on its way ———

/** This instance has stopped. Another one may serve the session. */
function isStopped(cause: unknown): boolean {
  return (
    cause instanceof SojournError && (cause.code === 'DRAINING' || cause.code === 'ENDPOINT_CLOSED')
  );
}

/**
 * `handOver`: the instance that relayed the call waits, and finds the next owner. A full session is full there too,
 * so the call waits here for its place.
 */
export function afterFailure(inbound: Inbound, cause: unknown): 'handOver' | 'wait' | 'refuse' {
  const isRelayed = inbound.caller.relayOrigin !== undefined;
  if (isAbandoned(inbound) || !(isAway(cause) || (isRelayed && isStopped(cause)))) return 'refuse';
  return isRelayed && !isFull(cause) ? 'handOver' : 'wait';
}

/**
 * The error of a call that ends. A call that may have run gets `owner_lost`, because its client must not retry it. If
 * its session has ended, or the store has lost it, it is `session_ended`: a client may send a call again after a 404.
 * A proxy may have sent it to another instance before: then nothing is said about a run.
 * `undefined`: the owner that was to end the session did so before it crashed.
 */
export function errorAfter(
  { kind, mayHaveRun, attemptId, sink, post }: Inbound,
  cause: unknown,
): unknown {
  if (mayHaveRun === undefined && !sink.hasBegun)
    return cause instanceof SojournError && attemptId?.ofProxy !== true
      ? beforeItRan(cause)
      : cause;
  if (endsSession({ kind }) && isNotFound(cause)) return undefined;
  const mayNotRepeat = post?.messages.some(
    (one) => one.kind === 'request' && requestOf(one.message.method).repeats !== 'always',
  );
  if (mayNotRepeat !== true) return cause;
  if (isNotFound(cause)) return sessionEnded();
  if (cause instanceof SojournError && cause.code === 'OWNER_UNREACHABLE') return callUnreachable();
  return !(cause instanceof SojournError) || cause.retryable ? ownerLost(true) : cause;
}

/**
 * `done`: the answer is complete. `refused`: the owner has not run the call and will not run it. `lost`: no instance
 * can tell. `unreachable`: the same, and messages to the owner do not pass.
 */
export type RelayOutcome = 'done' | 'refused' | 'lost' | 'unreachable';

/** The call for the next owner: the same, or the rest of its response. `undefined`: it has ended. */
export function afterRelay(inbound: Inbound, outcome: RelayOutcome): Inbound | undefined {
  if (outcome === 'done' || isAbandoned(inbound)) return undefined;
  if (outcome === 'refused') return inbound;
  const { kind, sink, requestId, caller } = inbound;
  const after = sink.lastId;
  const mayHaveRun = attemptOf(inbound);
  if (after === undefined) return { ...inbound, mayHaveRun };
  return { kind: kind === 'get' ? kind : 'resume', caller, sink, requestId, after, mayHaveRun };
}

/**
 * The link to the relaying instance failed before the requests of this call began. That instance, or the client's next
 * one, sends them again, marked, to the owner of the session. So no instance runs them as this attempt.
 */
export function relayLost({ caller, post }: Inbound): boolean {
  return caller.relayOrigin?.linkFailed === true && (post?.requests.length ?? 0) > 0;
}

/**
 * The client disconnected or cancelled the call while it waited. No event id was sent, so no client can fetch its
 * answer.
 */
export function abandonedWhileWaiting(inbound: Inbound): boolean {
  return inbound.kind === 'post' && inbound.waitUntil !== undefined && isAbandoned(inbound);
}

/**
 * Answers and notifications are accepted when they have waited for their time, and wait on: a client sends an answer
 * once. While the endpoint drains they wait without being accepted, because what was accepted would be lost.
 */
export function afterWait(
  inbound: Inbound,
  endpoint: 'serving' | 'draining' | 'closed',
): 'refuse' | 'accept' | 'waitOn' {
  if (inbound.isAccepted === true || !isSilent(inbound)) return 'refuse';
  return endpoint === 'serving' ? 'accept' : 'waitOn';
}

/**
 * The first event of a stream was to be stored, and its calls do not continue here. `left`: the
 * session has left. `ran`: they ran while the event was being stored. An earlier try may have
 * stored it, and the next owner then runs them from the log. After a failure the store may hold the
 * event, and a marker that the next owner checks.
 */
export function afterStoring(
  result: 'written' | 'fenced' | 'failed',
  { left, ran }: { left: boolean; ran: boolean },
): 'refuse' | 'again' | 'mayHaveRun' {
  if (result === 'failed') return left ? 'mayHaveRun' : 'refuse';
  return ran ? 'mayHaveRun' : 'again';
}

/** `accept`: its owner has the answer or notification. A client opens a stream again whose connection is closed. */
export function forStop(
  { kind, requestId, sink }: Inbound,
  isDelivered: boolean,
): 'error' | 'accept' | 'cut' | 'refuse' {
  if (requestId !== null || sink.hasBegun) return 'error';
  if (kind === 'post' && isDelivered) return 'accept';
  return kind === 'post' || endsSession({ kind }) ? 'refuse' : 'cut';
}

// ——— a call in its session ———

/**
 * A request whose first attempt may have run. `attached`: its stream, or the answer that the log kept, goes to the new
 * sink. Without them a call is lost if it runs or has a marker. Any other one runs: it never ran, or may run twice.
 */
export type FirstAttempt = 'attached' | 'lost' | 'run';

export function forRepeat(first: {
  attached: boolean;
  runs: boolean;
  marked: boolean;
}): FirstAttempt {
  if (first.attached) return 'attached';
  return first.runs || first.marked ? 'lost' : 'run';
}

/** Whether a call that no owner remembers may not run, because it may have run `MOST_RUNS` times before. */
export function ranOften(inbound: Pick<Inbound, 'mayHaveRun'>): boolean {
  return (inbound.mayHaveRun ?? 0) >= MOST_RUNS;
}

/**
 * A session leaves while a call runs. `handOverUnsent`: the client has received nothing, and the new owner runs the
 * call. `handOver`: after a fence that owner has ended the call or runs it again, so its outcome is the true one.
 * `handOverAtPoint`: the time of a drain is over, and the next owner can run the call again.
 */
export function forLeaving(
  reason: LeaveReason,
  {
    isStoring,
    isDurable,
    mayRunTwice,
  }: { isStoring: boolean; isDurable: boolean; mayRunTwice: boolean },
): 'handOverUnsent' | 'handOver' | 'handOverAtPoint' | 'error' {
  if (reason === 'fenced') return isStoring ? 'handOverUnsent' : isDurable ? 'handOver' : 'error';
  return reason === 'released' && isDurable && mayRunTwice ? 'handOverAtPoint' : 'error';
}

/** The error of a call that ends with its session. */
export function endError(reason: LeaveReason, mayHaveRun: boolean): SojournError {
  if (reason === 'closed' || reason === 'endpoint_closed') return requestClosed(mayHaveRun);
  if (reason === 'released') return requestDrained(mayHaveRun);
  return reason === 'fenced' ? ownerLost(mayHaveRun) : sessionEnded(mayHaveRun);
}

/**
 * Whether the session stays resumable: its log keeps what its client has not read. Nothing of an ended session is kept.
 */
export function staysResumable(reason: LeaveReason): boolean {
  return reason === 'closed' || reason === 'released' || reason === 'hibernated';
}

/**
 * A call whose owner was lost. It runs again without a marker, because it never ran or may run twice, and with a marker
 * if it is `repeatable`, as the server says now. `kept`: the whole request. `newest`: no later stream has its id. Two
 * streams have one id when the store took the first event of a stream and its reply was lost: the client got an error,
 * and repeated its request. Two runs under one id would answer each other's stream. `begun`: how often it may have
 * begun. `ranOften`, `mayHaveRun`, `neverRan`: what its error says.
 */
export function forLost(call: {
  kept: boolean;
  newest: boolean;
  marked: boolean;
  repeatable: boolean;
  begun: number;
}): 'run' | 'ranOften' | 'mayHaveRun' | 'neverRan' {
  const mayRun = call.kept && call.newest && (!call.marked || call.repeatable);
  if (mayRun) return call.begun < MOST_RUNS ? 'run' : 'ranOften';
  return call.marked || !call.newest ? 'mayHaveRun' : 'neverRan';
}

/**
 * A resume that the log cannot serve. `finished`: nothing follows on the stream. An event id that names no call gets no
 * error.
 */
export function forResume(stream: {
  isGetStream: boolean;
  isFinished: boolean;
  namesCall: boolean;
}): 'getStream' | 'finished' | 'error' {
  if (stream.isGetStream) return 'getStream';
  return stream.isFinished || !stream.namesCall ? 'finished' : 'error';
}
