/** Sinks of a live session's streams: a new sink of the GET stream, or a resume of any stream. */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Sink } from '../http/sink.ts';
import type { LoggedEvent, MaybePromise } from '../stores/store.ts';
import { callSuffix, resumeSuffix } from './streams/event-id.ts';
import type { LiveSession } from './session.ts';
import type { Stream } from './streams/stream.ts';
import type { ResumeFrom } from './streams/reader.ts';
import type { SessionEventLog, WriteResult } from './streams/event-log.ts';

/**
 * Opens the GET stream for a new sink. `missed`: the client missed messages that are not kept. A client that had the
 * stream before and sends no `Last-Event-ID` missed some too.
 */
export function openGet(
  session: LiveSession,
  sink: Sink,
  missed: boolean,
): MaybePromise<WriteResult> {
  const before = session.usedGetStream;
  if (missed || (before?.logged === true && !before.hasOpenSink)) session.missed();
  const { getStream } = session;
  session.enter();
  getStream.use(sink, () => session.exit());
  const primed = getStream.storePoint();
  session.sendMissed(getStream);
  session.usedQuestions?.send();
  return primed;
}

/** `false`: the log cannot continue from there, and nothing was written. */
export async function resumeStream(
  session: LiveSession,
  stream: Stream,
  open: () => Sink,
  from: ResumeFrom,
): Promise<boolean> {
  let resumed = false;
  session.enter();
  try {
    resumed = await stream.resumes.run(open, from, () => session.exit());
  } finally {
    if (!resumed) session.exit();
  }
  // The session left while the log was read: end the sink, so that its client resumes at the next owner.
  if (resumed && session.left) stream.endSink();
  else if (resumed && stream === session.usedGetStream) {
    session.sendMissed(stream);
    session.usedQuestions?.send();
  } else if (resumed) session.usedQuestions?.carryFirst(stream);
  return resumed;
}

/** Sends to a sink of a complete stream the events that the log keeps after `from`, then the end. */
export function replayComplete(
  events: readonly LoggedEvent[],
  sink: Sink,
  from: ResumeFrom & {
    readonly stream: string;
    readonly call: RequestId | undefined;
    readonly isTool: boolean;
  },
  log: SessionEventLog,
): void {
  const { stream } = from;
  const call = callSuffix(from.call, from.isTool);
  sink.point(
    log.eventId(stream, from.offset, call + resumeSuffix(from.resumes)),
    log.options.retryMs,
    log.clientResumes,
  );
  for (const { offset, data } of events) {
    if (data !== '') sink.message(data, log.eventId(stream, offset, call));
  }
  sink.end();
}
