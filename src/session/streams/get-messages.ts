/** Messages to the client on its session's GET stream: of the server about the session, and answers of calls. */
import type { RpcNotification } from '../../protocol/jsonrpc.ts';
import type { SessionParts } from '../parts.ts';

/** Whether a message on the GET stream can reach the client, now or when it resumes that stream. */
function isGetReachable({ hasGetSink, record }: SessionParts): boolean {
  return hasGetSink || record.head.getPrimed;
}

/** Sends a message about the session. */
export function pushOnGet(session: SessionParts, message: RpcNotification): void {
  const { id: sessionId, logger, record } = session;
  const { method } = message;
  if (!record.head.initialized && method !== 'notifications/message')
    logger.debug({ sessionId, method }, 'Dropped: the client has not sent notifications/initialized');
  else if (isGetReachable(session)) session.getStream.send(JSON.stringify(message));
  else logger.debug({ sessionId, method }, 'Dropped: the client has no GET stream');
}

/** Sends the answer of a call whose sink left, to a client that will not resume the call's stream. */
export function answerOnGet(session: SessionParts, json: string): void {
  if (isGetReachable(session) && session.hasQuirk('answer-on-get')) session.getStream.send(json);
}
