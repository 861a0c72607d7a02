/** What the outcome of an attempt means for its call: the next attempt, a wait, or the error for the client. */
import { beforeItRan, callUnreachable, type ErrorCode, ownerLost, sessionEnded, SojournError } from '../../errors.ts';
import { type Call, isAbandoned } from '../../relay/call.ts';

/** The reasons that a call waits for. */
const WAITED_FOR: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'LAPSED',
  'STORE_AWAY',
  'RESTORE_FAILED',
  'OWNER_UNREACHABLE',
  'TOO_MANY_REQUESTS',
]);

/** The call for the next owner: the same, or the rest of its response. */
export function afterLoss(call: Call): Call {
  const { kind, reader, requestId, exchange } = call;
  const after = reader.lastId;
  if (after === undefined) return { ...call, mayHaveRun: true };
  return { kind: kind === 'get' ? kind : 'resume', exchange, reader, requestId, after, mayHaveRun: true };
}

/**
 * The error for a call that may have run is `owner_lost`, because the client must not retry it. If its session has
 * ended, or the store has lost it, it is `session_ended`: a client may send a call again after a 404.
 */
export function outcomeOf({ mayHaveRun, reader, post }: Call, cause: unknown): unknown {
  if (mayHaveRun !== true && !reader.hasBegun) return cause instanceof SojournError ? beforeItRan(cause) : cause;
  const calls = post?.messages.some((one) => one.kind === 'request' && one.message.method === 'tools/call');
  if (calls !== true) return cause;
  if (isNotFound(cause)) return sessionEnded();
  if (cause instanceof SojournError && cause.code === 'OWNER_UNREACHABLE') return callUnreachable();
  return !(cause instanceof SojournError) || cause.retryable ? ownerLost(true) : cause;
}

/**
 * The link to the relaying instance failed before the requests of this call began. That instance, or the client's next
 * one, sends them again, marked, to the owner of the session. So no instance runs them as this attempt.
 */
export function relayLost({ exchange, post }: Call): boolean {
  return exchange.relayOrigin?.linkFailed === true && post?.messages.some(({ kind }) => kind === 'request') === true;
}

/**
 * The client disconnected or cancelled the call while it waited. No event id was sent, so no client can fetch its
 * answer.
 */
export function abandonedWhileWaiting(call: Call): boolean {
  return call.kind === 'post' && call.waitUntil !== undefined && isAbandoned(call);
}

/** Whether a call waits for this cause: a lease, the store, or two instances that disagree on an owner. */
export function isAway(cause: unknown): cause is SojournError {
  return cause instanceof SojournError && WAITED_FOR.has(cause.code);
}

/** Whether a request of the call counts against `limits.requestsPerSession`. */
export function counts({ kind, post }: Call): boolean {
  if (kind !== 'post') return false;
  return post?.messages.some((one) => one.kind === 'request' && one.message.method !== 'ping') === true;
}

/** The session runs as many requests as it may. */
export function isFull(cause: unknown): boolean {
  return isAway(cause) && cause.code === 'TOO_MANY_REQUESTS';
}

/** The factory or a hook failed, not the store. */
export function isRestoreFailure(cause: unknown): boolean {
  return isAway(cause) && cause.code === 'RESTORE_FAILED' && cause.cause !== undefined && !isAway(cause.cause);
}

export function isNotFound(cause: unknown): boolean {
  return cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND';
}
