/**
 * How an accepted request can end without its result. Some hosts repeat a call by words of the message, which
 * `REPEATED_WORDS` in the test of the page on errors lists.
 */
import { ended, reasonOf, SojournError } from './sojourn-error.ts';

const ranOrNot = (mayHaveRun: boolean): string =>
  mayHaveRun ? 'while this request was running; it may have run' : 'before this request ran';

export const sessionEnded = (mayHaveRun = true): SojournError =>
  ended(
    'SESSION_ENDED',
    `The server ended its work for this client ${ranOrNot(mayHaveRun)}`,
    mayHaveRun,
  );

export const requestDrained = (mayHaveRun = true): SojournError =>
  ended('DRAINING', `The instance was drained ${ranOrNot(mayHaveRun)}`, mayHaveRun);

export const requestClosed = (mayHaveRun = true): SojournError =>
  ended('ENDPOINT_CLOSED', `The endpoint was closed ${ranOrNot(mayHaveRun)}`, mayHaveRun);

/** The handler has run longer than `callTimeoutMs`. */
export const callTimeout = (callTimeoutMs: number): SojournError =>
  ended(
    'CALL_TIMEOUT',
    `The time limit of ${callTimeoutMs} ms for this request is over; the request may have run (limits.callTimeoutMs)`,
    true,
  );

/** Its handler sent faster than the instance of its client took the messages. */
export const messagesCut = (): SojournError =>
  ended(
    'MESSAGES_CUT',
    'Too many messages of this request waited for the instance of its client, so it was aborted; the request may have run',
    true,
  );

/** Its live object is dead, or was closed. */
export const objectClosed = (kind: string): SojournError =>
  ended('OBJECT_CLOSED', `The ${kind} of this request was closed ${ranOrNot(true)}`, true);

/** Sent as an event: its client came back for the answer. */
export const answerNotKept = (): SojournError =>
  ended(
    'ANSWER_NOT_KEPT',
    'The answer to this request is not kept (any more); the request may have run',
    true,
    'answer_not_kept',
  );

/** Its client came back for the answer, as an event, more often than `limits.perUser.requestsPerMinute` allows. */
export const answerOverLimit = (): SojournError =>
  new SojournError(
    'USER_LIMIT',
    'This user has reached limits.perUser.requestsPerMinute, so the answer was not fetched; the request may have run',
    { data: { reason: reasonOf('USER_LIMIT'), mayHaveRun: true } },
  );

/** The call was sent to its owner, which has answered nothing since. */
export const callUnreachable = (): SojournError =>
  ended(
    'OWNER_UNREACHABLE',
    'The instance that received this request does not answer; the request may have run, and the log names the cause',
    true,
  );

/** It does not run again, although it may run twice: its handler may be what ends the processes. */
export const ranTooOften = (runs: number): SojournError =>
  ended(
    'OWNER_LOST',
    `This request began ${runs} times, and each time its instance crashed, lost its lease or was drained: it is not run again; it may have run`,
    true,
  );

export const ownerLost = (mayHaveRun: boolean): SojournError =>
  ended(
    'OWNER_LOST',
    mayHaveRun
      ? 'The instance that ran this request crashed or lost its lease; the request may have run'
      : 'The instance that received this request crashed or lost its lease before this request ran',
    mayHaveRun,
  );
