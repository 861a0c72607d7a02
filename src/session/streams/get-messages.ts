/** Messages to the client on its session's GET stream: of the server about the session, and answers of calls. */
import type { RpcNotification } from '../../protocol/jsonrpc.ts';
import type { Quirk } from '../../clients/known.ts';
import type { Logger } from '../../types.ts';
import type { Stream } from './stream.ts';

export interface GetSession {
  readonly id: string;
  readonly logger: Logger;
  readonly getStream: Stream;
  readonly hasGetSink: boolean;
  readonly record: { readonly initialized: boolean; readonly getPrimed: boolean };
  hasQuirk(quirk: Quirk): boolean;
}

/** Whether a message on the GET stream can reach the client, now or when it resumes that stream. */
function isGetReachable({ hasGetSink, record }: Pick<GetSession, 'hasGetSink' | 'record'>): boolean {
  return hasGetSink || record.getPrimed;
}

/** Sends a message about the session. */
export function pushOnGet(session: GetSession, message: RpcNotification): void {
  const { id: sessionId, logger, record } = session;
  const { method } = message;
  if (!record.initialized && method !== 'notifications/message')
    logger.debug({ sessionId, method }, 'Dropped: the client has not sent notifications/initialized');
  else if (isGetReachable(session)) session.getStream.send(JSON.stringify(message));
  else logger.debug({ sessionId, method }, 'Dropped: the client has no GET stream');
}

/** Sends the answer of a call whose sink left, to a client that will not resume the call's stream. */
export function answerOnGet(session: GetSession, json: string): void {
  if (isGetReachable(session) && session.hasQuirk('answer-on-get')) session.getStream.send(json);
}
