/**
 * Serves a GET of a session: its stream of messages, or the events after a `Last-Event-ID`. Clients of several SDKs
 * hang or fail for good when a resume is refused with a status, so no resume is refused that way:
 *
 *     the stream is kept                        → the events after the id, then new events
 *     the GET stream, those events are not kept → a new GET stream, which begins with `list_changed` of each kind
 *     the stream of a call, which is not kept   → an event with a JSON-RPC error of the call's id, then the end
 *     … and the event id does not name the call → as for a finished stream
 *     a finished stream, no events after the id → 204, no reason to reconnect. A client that asks again and again while
 *                                                 the session has no open GET stream gets one: one SDK reconnects for
 *                                                 ever, and reads no other stream until then
 *     the answer to `initialize`, which the client has shown to have read → as for a finished stream
 *     an event id of another origin             → a new GET stream
 *
 * An ended or unknown session is 404, unless the id names a call: `refuseResume`.
 */
import { answerNotKept, callSessionNotFound, type SojournError } from '../../errors.ts';
import { lostJson } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { Reader } from '../../http/reader.ts';
import { messageFrame, SSE_HEADERS } from '../../http/response.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import {
  endedId,
  type EventPosition,
  GET_STREAM,
  HANDSHAKE_STREAM,
  parseEventId,
} from '../../session/streams/event-id.ts';
import { openGet, resumable, resumeStream } from '../../session/streams/readers.ts';
import type { LiveSession } from '../../session/session.ts';
import { replayComplete } from '../../session/streams/stream.ts';

/**
 * Requests for one finished stream that get 204 before the GET stream is opened instead. Official clients reconnect
 * once after each error, and a connection may break under the 204. A client that got a GET stream then would read two
 * streams, and get messages twice.
 */
const ENDS_ANSWERED = 2;
/** How long after a resume a stream ends cleanly, for clients that need it (`clean-end`). */
const CLEAN_END_MS = 400;

export interface GetContext {
  readonly options: Pick<ResolvedOptions, 'lostCalls' | 'timeProvider'>;
  open(exchange: Exchange): Reader;
  /** Whether the session is live here still. */
  stays(): boolean;
}

/** `false`: the session left while its log was read; nothing was sent. */
export async function serveGet(session: LiveSession, exchange: Exchange, context: GetContext): Promise<boolean> {
  const lastEventId = exchange.header('last-event-id');
  if (lastEventId === undefined || lastEventId === '') {
    await openGet(session, context.open(exchange), false);
    return true;
  }
  const position = parseEventId(lastEventId);
  const kept = position !== undefined && isOurs(session, position) && !position.ended;
  let resumed = kept ? await resume(session, exchange, position, context) : undefined;
  if (kept && resumed === undefined && hasRead(session, position)) resumed = 'finished';
  if (resumed === 'resumed') return true;
  if (!context.stays()) return false;
  if (position === undefined || position.stream === GET_STREAM) {
    await openGet(session, context.open(exchange), true);
  } else if (resumed === 'finished' || position.ended || position.call === undefined) {
    await finish(session, exchange, context);
  } else {
    respondError(exchange, position, answerNotKept(), context.options);
  }
  return true;
}

function isOurs({ streamLog }: LiveSession, position: EventPosition): boolean {
  // A later epoch: the store lost the stream.
  return streamLog !== undefined && position.tag === streamLog.tag && position.epoch <= streamLog.epoch;
}

/** A store may have dropped the answer to `initialize`, once the client has shown that it has read the answer. */
function hasRead({ record }: LiveSession, { stream }: EventPosition): boolean {
  return record.initialized && stream === HANDSHAKE_STREAM;
}

/** `undefined`: the log cannot continue from there. */
async function resume(
  session: LiveSession,
  exchange: Exchange,
  position: EventPosition,
  { open, options }: GetContext,
): Promise<'resumed' | 'finished' | undefined> {
  const stream = resumable(session, position.stream);
  if (stream !== undefined) {
    if (!(await resumeStream(session, stream, () => open(exchange), position))) return undefined;
    if (session.hasQuirk('clean-end', exchange.header('user-agent'))) {
      const end = stream.cleanEnd(position);
      if (end !== undefined) options.timeProvider.setTimeout(end, CLEAN_END_MS);
    }
    return 'resumed';
  }
  if (position.stream === GET_STREAM) return undefined;
  const outcome = await session.log.read(position.stream, position.offset);
  if (!outcome.found || position.offset >= outcome.next) return undefined;
  if (outcome.complete && outcome.events.every(({ data }) => data === '')) return 'finished';
  replayComplete(outcome.events, open(exchange), position, session.log);
  return 'resumed';
}

/** The rest of a relayed POST's response must not become a GET stream. */
async function finish(session: LiveSession, exchange: Exchange, { open }: GetContext): Promise<void> {
  const lastEventId = exchange.header('last-event-id') ?? '';
  const reads = session.hasGetReader || exchange.method !== 'GET';
  if (reads || session.asksForFinished(lastEventId) <= ENDS_ANSWERED) exchange.respond(204, []);
  else await openGet(session, open(exchange), true);
}

/**
 * A resume in an unknown or ended session, or past a limit. `true`: the event id names a call, and that call got the
 * error. `false`: the GET gets its status.
 */
export function refuseResume(
  exchange: Exchange,
  options: Pick<ResolvedOptions, 'lostCalls'>,
  error: SojournError = callSessionNotFound(),
): boolean {
  const position = parseEventId(exchange.header('last-event-id') ?? '');
  if (position?.call === undefined || position.ended) return false;
  respondError(exchange, position, error, options);
  return true;
}

/** The event id says that nothing follows, because some clients reconnect after every error. */
function respondError(
  exchange: Exchange,
  position: EventPosition,
  error: SojournError,
  options: Pick<ResolvedOptions, 'lostCalls'>,
): void {
  const json = lostJson(options, { id: position.call, method: position.isTool ? 'tools/call' : undefined }, error);
  exchange.respond(200, SSE_HEADERS, messageFrame(json, endedId(position)));
}
