/** A request past one of the limits. */
import { invalidParams } from './request.ts';
import type { ErrorCode } from './codes.ts';
import { reasonOf, SojournError, unavailable } from './sojourn-error.ts';
import { quoted } from '../shown.ts';

export const tooManyRequests = (limit: number): SojournError =>
  tooMany(
    'TOO_MANY_REQUESTS',
    `${limit} requests are running on this session (limits.requestsPerSession)`,
  );

/** Takes the way of a full session: the call waits where the session is live, and moves on when it has left. */
export const sessionIsLeaving = (): SojournError =>
  tooMany(
    'TOO_MANY_REQUESTS',
    'this session is moving to another instance, because this one is draining',
  );

/** The same: the resume waits for its turn. */
export const tooManyResumes = (): SojournError =>
  tooMany('TOO_MANY_REQUESTS', 'this instance is sending other clients what they missed');

export const subscriptionsTooLarge = (limit: number): SojournError =>
  invalidParams(
    `the resource URIs of a session, of one subscriptions/listen, or of a child on stdio may have ${limit} bytes`,
  );

export const handshakeTooLarge = (limit: number): SojournError =>
  new SojournError(
    'BODY_TOO_LARGE',
    `Payload Too Large: the parameters of initialize exceed ${limit} bytes`,
    {
      data: { reason: 'handshake_too_large' },
    },
  );

export const handshakeHasTooManyKeys = (limit: number): SojournError =>
  new SojournError(
    'TOO_MANY_KEYS',
    `Payload Too Large: the parameters of initialize may have ${limit} keys and objects`,
    { data: { reason: 'too_many_keys' } },
  );

export const tooManyWithoutSession = (limit: number): SojournError =>
  unavailable(
    'OVERLOADED',
    `${limit} requests run on this instance without a session (limits.sessionlessRequests)`,
  );

/** `limit`: the member of `limits.perUser`. `waitMs`: until one more request is admitted. */
export const overUserLimit = (limit: string, value: number, waitMs?: number): SojournError =>
  tooMany('USER_LIMIT', `this user has reached ${value} (limits.perUser.${limit})`, waitMs);

export const overToolLimit = (
  tool: string,
  limit: string,
  value: number,
  waitMs?: number,
): SojournError =>
  tooMany(
    'TOOL_LIMIT',
    `the tool ${quoted(tool)} has reached ${value} (limits.perTool, ${limit})`,
    waitMs,
  );

/** `limit`: the member of `limits` whose places are shared. */
export const overUserShare = (limit: string, value: number): SojournError =>
  unavailable(
    limit === 'sessions' ? 'TOO_MANY_SESSIONS' : 'OVERLOADED',
    `this user has its share of ${value} places (limits.${limit}, limits.userShare)`,
  );

export const overToolShare = (tool: string, value: number): SojournError =>
  tooMany(
    'TOOL_LIMIT',
    `this user has its share of ${value} calls of the tool ${quoted(tool)} (limits.perTool, limits.userShare)`,
  );

function tooMany(code: ErrorCode, what: string, waitMs = 0): SojournError {
  const seconds = Math.max(1, Math.ceil(Math.round(waitMs) / 1_000));
  return new SojournError(code, `Too Many Requests: ${what}`, {
    data: { reason: reasonOf(code) },
    headers: { 'Retry-After': String(seconds) },
    retryable: true,
  });
}

export const overMemory = (): SojournError =>
  unavailable(
    'OVER_MEMORY',
    'what clients made this instance keep fills limits.memoryBytes, or this user has its share of it (limits.userShare)',
  );

export const tooManySessions = (limit: number): SojournError =>
  unavailable('TOO_MANY_SESSIONS', `this instance has ${limit} live sessions (limits.sessions)`);
