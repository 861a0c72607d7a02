/**
 * Serves a GET of a session: its stream of messages, or the events after a `Last-Event-ID`. Clients of several SDKs
 * hang or fail for good when a resume is refused with a status, so no resume is refused that way:
 *
 *     the stream is kept                        → the events after the id, then new events
 *     the GET stream, those events are not kept → a new GET stream, which begins with `list_changed` of each kind
 *     the stream of a call, which is not kept   → an event with a JSON-RPC error of the call's id, then the end
 *                                                 (also of a call of another session)
 *     … and the event id does not name the call → as for a finished stream
 *     a finished stream, no events after the id → 204, no reason to reconnect. A client that asks again and again while
 *                                                 the session has no open GET stream gets one: one SDK reconnects for
 *                                                 ever, and reads no other stream until then
 *     the answer to `initialize`, which the client has shown to have read → as for a finished stream
 *     any other event id                        → a new GET stream
 *
 * An ended or unknown session is 404, unless the id names a call: `refuseResume`. The rest of a POST's response after
 * the loss of its owner comes here too (kind `resume`), and never becomes a GET stream.
 */
import { Budget, shareKey } from '../../base/budget.ts';
import { afterTurn } from '../../base/system.ts';
import {
  answerNotKept,
  callSessionNotFound,
  tooManyResumes,
  type SojournError,
} from '../../base/errors.ts';
import { lostCallJson } from '../../http/answer.ts';
import type { ResponseSink } from '../../http/sink.ts';
import { hasPriming } from '../../base/protocol/versions.ts';
import type { Inbound, NextAttempt } from '../../session/inbound/inbound.ts';
import { forResume } from '../../session/inbound/retries.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import {
  endedId,
  type EventPosition,
  GET_STREAM,
  HANDSHAKE_STREAM,
  parseEventId,
  resumedId,
} from '../../session/streams/event-id.ts';
import { openGet, replayComplete, resumeStream } from '../../session/attach.ts';
import type { LiveSession } from '../../session/session.ts';
import type { LegacyParts } from './era-parts.ts';

/**
 * Requests for one finished stream that get 204 before the GET stream is opened instead. Official clients reconnect
 * once after each error, and a connection may break under the 204. A client that got a GET stream then would read two
 * streams, and get messages twice.
 */
const ENDS_ANSWERED = 2;
/** How long after a resume a stream ends cleanly, for clients that need it (`clean-end`). */
const CLEAN_END_MS = 400;

/**
 * Clients that resume make the process hold what they missed, several MB each, from the read of the event log until it
 * is written. So sixteen replays are under way at once, or as many as half of `limits.memoryBytes` holds, in a reserve
 * beside the memory budget. What clients make this instance keep cannot stop a resume, and a resume takes no room from
 * requests. The other resumes wait (`waiting.ts`), and a user may take half of the places that the others leave free.
 */
const REPLAYS = 16;
const REPLAYS_OF_USER = 1 / 2;
/** The reserve of replays, as a part of `limits.memoryBytes`. */
const REPLAY_PART = 1 / 2;
/** The events as the store returns them, as frames, as one text, and as its bytes. */
const REPLAY_WEIGHT = 4;

/** The places of replays. */
export function replayPlaces({
  eventRetention,
  limits,
}: Pick<ResolvedOptions, 'eventRetention' | 'limits'>): Budget {
  const room = limits.memoryBytes * REPLAY_PART;
  // A session keeps no more.
  const bytes =
    eventRetention === false || room === Infinity ? 0 : eventRetention.bytes * REPLAY_WEIGHT;
  return new Budget(Math.max(1, Math.min(REPLAYS, Math.floor(room / bytes))), REPLAYS_OF_USER);
}

/**
 * Throws where a resume must wait for a place, in this turn: a promise means that it is served here. `freed`: a place is
 * free.
 */
export function serveGet(
  parts: LegacyParts,
  session: LiveSession,
  inbound: Inbound,
  freed: () => void,
): Promise<NextAttempt> {
  const { caller } = inbound;
  if (!inbound.after) return serveNew(parts, session, inbound);
  const share = shareKey(caller.userKey, caller.clientAddress);
  if (!parts.replays.take(1, share)) throw tooManyResumes();
  const over = async (): Promise<void> => {
    await inbound.sink.room?.(0);
    parts.replays.charge(-1, share);
    freed();
  };
  return serveAfter(parts, session, inbound).finally(() => {
    // What the turn writes is charged where the client does not take it at once.
    afterTurn(() => void over());
  });
}

async function serveNew(
  parts: LegacyParts,
  session: LiveSession,
  inbound: Inbound,
): Promise<undefined> {
  await openGet(session, open(parts, inbound), false);
}

function open(parts: LegacyParts, { sink }: Inbound): ResponseSink {
  sink.begin(parts.responses.get);
  return sink;
}

/** Returns the call if the session left while its log was read, and nothing was sent. */
async function serveAfter(
  parts: LegacyParts,
  session: LiveSession,
  inbound: Inbound,
): Promise<NextAttempt> {
  const position = parseEventId(inbound.after ?? '');
  const kept = position !== undefined && isOurs(session, position) && !position.ended;
  let resumed = kept ? await resume(parts, session, inbound, position) : undefined;
  if (kept && resumed === undefined && hasRead(session, position)) resumed = 'finished';
  const ours = resumed === 'resumed' || (!session.left && session.ownership.leaseValid);
  if (!ours) return inbound;
  const isGetStream = position === undefined || position.stream === GET_STREAM;
  const isFinished = resumed === 'finished' || position?.ended === true;
  const outcome = resumed === 'resumed' ? 'continued' : isFinished ? 'finished' : 'gap';
  parts.options.notices.emit({ kind: 'streamResumed', outcome, sessionId: session.id });
  if (resumed === 'resumed') return undefined;
  const next = forResume({ isGetStream, isFinished, namesCall: position?.call !== undefined });
  if (next === 'getStream') await openGet(session, open(parts, inbound), true);
  else if (next === 'finished') await finish(parts, session, inbound);
  else if (position !== undefined) respondError(parts, inbound, position, answerNotKept());
  return undefined;
}

/** `undefined`: the log cannot continue from there. */
async function resume(
  parts: LegacyParts,
  session: LiveSession,
  inbound: Inbound,
  position: EventPosition,
): Promise<'resumed' | 'finished' | undefined> {
  const { usedGetStream, calls } = session;
  const isGetStream = position.stream === GET_STREAM;
  const stream = isGetStream ? usedGetStream : calls.running.stream(position.stream);
  if (stream !== undefined) {
    if (!(await resumeStream(session, stream, () => open(parts, inbound), position)))
      return undefined;
    if (session.hasQuirk('clean-end', inbound.caller.header('user-agent'))) {
      const end = stream.resumes.laterEnd(position);
      if (end !== undefined) parts.options.timeProvider.setTimeout(end, CLEAN_END_MS);
    }
    return 'resumed';
  }
  if (isGetStream) return undefined;
  const outcome = await session.log.read(position.stream, position.offset);
  // A stream that does not run here gets no further events. Without an end the store has not taken its answer.
  if (!outcome.found || !outcome.complete || position.offset >= outcome.next) return undefined;
  if (outcome.events.every(({ data }) => data === '')) return 'finished';
  replayComplete(outcome.events, open(parts, inbound), position, session.log);
  return 'resumed';
}

async function finish(parts: LegacyParts, session: LiveSession, inbound: Inbound): Promise<void> {
  const { kind, sink, after = '' } = inbound;
  const reads = session.hasGetSink || kind === 'resume';
  if (reads || session.asksForFinished(after) <= ENDS_ANSWERED) sink.done(204);
  else await openGet(session, open(parts, inbound), true);
}

// ——— answers without a session ———

/**
 * Sends the head to a GET that waits, because clients take a response without a head for broken, and a refused resume
 * for final. Its client then reads a stream from the position that it asked for.
 */
export function openHead(parts: LegacyParts, inbound: Inbound): Inbound {
  const { caller, sink, after = '' } = inbound;
  // The client has the head already.
  if (sink.hasBegun) return inbound;
  sink.sessionId = caller.header('mcp-session-id');
  sink.begin(parts.responses.get);
  const position = parseEventId(after);
  // The position gets a new id, because some clients count an attempt without a new id as failed.
  if (position !== undefined)
    sink.point(resumedId(position), parts.options.retryMs, comesBack(inbound));
  sink.sendHead();
  return { ...inbound, after: sink.lastId ?? after };
}

/**
 * Ends a response after an event after which its client resumes. Official clients give a stream up after two errors,
 * and come back after a clean end as often as needed. `false`: it cannot resume.
 */
export function answerToResume(
  parts: LegacyParts,
  inbound: Inbound,
  retryMs = parts.options.retryMs,
): boolean {
  const position = parseEventId(inbound.after ?? '');
  if (position === undefined || !comesBack(inbound)) return false;
  const sink = open(parts, inbound);
  sink.point(resumedId(position), retryMs, true);
  sink.end();
  return true;
}

/**
 * A resume in an unknown or ended session, or past a limit. `true`: the event id names a call, and that call got the
 * error. `false`: the GET gets its status.
 */
export function refuseResume(
  parts: LegacyParts,
  inbound: Inbound,
  error: SojournError = callSessionNotFound(),
): boolean {
  const position = parseEventId(inbound.after ?? '');
  if (position?.call === undefined || position.ended) return false;
  respondError(parts, inbound, position, error);
  return true;
}

/** The event id says that nothing follows, because some clients reconnect after every error. */
function respondError(
  parts: LegacyParts,
  inbound: Inbound,
  position: EventPosition,
  error: SojournError,
): void {
  const { call: id, isTool } = position;
  const sink = open(parts, inbound);
  sink.message(
    lostCallJson(parts.options, { id, method: isTool ? 'tools/call' : undefined }, error),
    endedId(position),
  );
  sink.end();
}

/** Clients of earlier revisions do not come back after a stream that ended. */
function comesBack({ caller }: Inbound): boolean {
  return hasPriming(caller.header('mcp-protocol-version') ?? '');
}

function isOurs({ streamLog }: LiveSession, position: EventPosition): boolean {
  // A later epoch: the store lost the stream.
  return (
    streamLog !== undefined &&
    position.tag === streamLog.tag &&
    position.epoch <= streamLog.ownership.epoch
  );
}

/** A store may have dropped the answer to `initialize`, once the client has shown that it has read the answer. */
function hasRead({ record }: LiveSession, { stream }: EventPosition): boolean {
  return record.head.initialized && stream === HANDSHAKE_STREAM;
}
