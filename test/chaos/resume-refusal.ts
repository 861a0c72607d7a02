/**
 * What a client may read on a GET that its session does not serve: its own position as a new id, comments while the
 * request is held, and one JSON-RPC error of the call that its `Last-Event-ID` names. Nothing in it comes from a
 * session: the ids are the client's, the texts are those of the error catalogue.
 */
import { answerNotKept, callSessionNotFound, sessionEnded, type SojournError } from '../../src/errors.ts';
import { errorJson } from '../../src/http/answer.ts';
import { endedId, parseEventId, resumedId } from '../../src/session/streams/event-id.ts';
import type { RawEvent } from '../kit/sse-parser.ts';

const REFUSALS = { notKept: answerNotKept, sessionNotFound: callSessionNotFound } as const;

export type ResumeRefusal = keyof typeof REFUSALS;

/** A GET is held while its instance has no lease: what has not ended by then is no refusal. */
export const REFUSED_MS = 20_000;

/** Whether an event is the error that refuses a resume. */
export function isResumeRefusal(
  { id, data, comment, retry }: RawEvent,
  lastEventId: string,
  why: ResumeRefusal,
): boolean {
  const position = parseEventId(lastEventId);
  if (position?.call === undefined || id !== endedId(position)) return false;
  const error: SojournError = REFUSALS[why]();
  return comment === undefined && retry === undefined && data === errorJson(error, position.call);
}

/** Whether an event tells its reader nothing but what that reader sent, or that the request is held. */
export function isHoldEvent({ id, data, comment }: RawEvent, lastEventId: string | undefined): boolean {
  if (id === undefined) return comment === 'keepalive' && data === undefined;
  const position = lastEventId === undefined ? undefined : parseEventId(lastEventId);
  if (position === undefined || !(data === undefined || data === '')) return false;
  return id === resumedId(position);
}

/** Whether a response that is over held the error that refuses a resume, and nothing else. */
export function refusesResume(
  events: readonly RawEvent[],
  lastEventId: string | undefined,
  why: ResumeRefusal,
): boolean {
  if (lastEventId === undefined) return false;
  const [refusal, ...more] = events.filter((event) => !isHoldEvent(event, lastEventId));
  return refusal !== undefined && more.length === 0 && isResumeRefusal(refusal, lastEventId, why);
}

/**
 * Whether a body is the answer to a call that was relayed to an owner which died before it answered, of a session that
 * had ended. The relaying instance cannot know that the call was sent after the end, so it may not invite the client to
 * send the call again, as 404 would. Nothing in it comes from a session.
 */
export function saysSessionEnded(body: string): boolean {
  if (!body.startsWith('{')) return false;
  const { id = null } = JSON.parse(body) as { id?: string | number | null };
  return (['error', 'result'] as const).some((form) => body === errorJson(sessionEnded(), id, form));
}
