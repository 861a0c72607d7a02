/** Messages of the server that are about its session, on the session's GET stream. */
import type { RpcNotification } from '../protocol/jsonrpc.ts';
import type { Logger } from '../types.ts';
import type { Stream } from './stream.ts';

interface GetSession {
  readonly id: string;
  readonly logger: Logger;
  readonly getStream: Stream;
  readonly record: { readonly initialized: boolean; readonly getPrimed: boolean };
}

/** Whether a message on the GET stream can reach the client, now or when it resumes that stream. */
export function isGetReachable({ getStream, record }: GetSession): boolean {
  return getStream.read || record.getPrimed;
}

export function pushOnGet(session: GetSession, message: RpcNotification): void {
  const { id: sessionId, logger, getStream, record } = session;
  const { method } = message;
  if (!record.initialized && method !== 'notifications/message')
    logger.debug({ sessionId, method }, 'Dropped: the client has not sent notifications/initialized');
  else if (isGetReachable(session)) getStream.send(JSON.stringify(message));
  else logger.debug({ sessionId, method }, 'Dropped: the client has no GET stream');
}
