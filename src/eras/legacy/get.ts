/** A GET of a session: its one stream of messages, or what a `Last-Event-ID` asks for. */
import { eventUnknown, resumeUnsupported } from '../../errors.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { GET_STREAM, parseEventId } from '../../session/event-id.ts';
import { openGet, resumable, resumeStream } from '../../session/readers.ts';
import type { LiveSession } from '../../session/session.ts';
import { replayEvents } from '../../session/stream.ts';
import type { Sink } from '../../http/sink.ts';

type OpenSink = (exchange: Exchange) => Sink;

export async function serveGet(
  session: LiveSession,
  exchange: Exchange,
  options: ResolvedOptions,
  open: OpenSink,
): Promise<void> {
  const lastEventId = exchange.header('last-event-id');
  if (lastEventId !== undefined && lastEventId !== '') return resume(session, exchange, lastEventId, options, open);
  await openGet(session, open(exchange));
}

async function resume(
  session: LiveSession,
  exchange: Exchange,
  lastEventId: string,
  options: ResolvedOptions,
  open: OpenSink,
): Promise<void> {
  if (options.eventRetention === false) throw resumeUnsupported('the server keeps no events (eventRetention: false)');
  if (!session.getStream.logged) throw resumeUnsupported(`protocol revision ${session.version} has no event ids here`);
  const position = parseEventId(lastEventId);
  if (position === undefined) throw eventUnknown('is not one of this server');
  if (position.tag !== session.log.tag) throw eventUnknown('belongs to another session');
  if (position.epoch > session.epoch) throw eventUnknown('is unknown: the store lost the stream it belongs to');
  const stream = resumable(session, position.stream);
  if (stream !== undefined) {
    if (await resumeStream(session, stream, () => open(exchange), position.offset)) return;
    throw eventUnknown('has expired or is unknown: events after it are no longer kept');
  }
  if (position.stream === GET_STREAM) throw eventUnknown('is unknown');
  const outcome = await session.log.read(position.stream, position.offset);
  if (!outcome.found || position.offset >= outcome.next) {
    throw eventUnknown('has expired or is unknown: its stream is no longer kept');
  }
  if (outcome.complete && outcome.events.every(({ data }) => data === '')) {
    // An event stream without an answer sends clients round for ever: those of the SDK's first line come back after every
    // answer that is an error, those of both lines after a cancelled call. 204 tells a reader of events not to come back.
    exchange.respond(204, []);
    return;
  }
  const sink = open(exchange);
  sink.prime(lastEventId, options.retryMs);
  replayEvents(outcome.events, sink, position.stream, session.log);
  sink.end();
}
