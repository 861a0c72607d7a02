/** Sinks of a live session's streams: a new sink of the GET stream, or a resume of any stream. */
import type { Sink } from '../../http/sink.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { GET_STREAM } from './event-id.ts';
import type { LiveSession } from '../session.ts';
import type { Stream } from './stream.ts';
import type { WriteResult } from './event-log.ts';
import type { ResumeFrom } from './resuming.ts';

/**
 * Opens the GET stream for a new sink, and parks the sink before it. `missed`: the client missed messages that are
 * not kept. A client that had the stream before and sends no `Last-Event-ID` missed some too.
 */
export function openGet(session: LiveSession, sink: Sink, missed: boolean): MaybePromise<WriteResult> {
  const { getStream, record, listChanges } = session;
  if (missed || (record.getPrimed && !getStream.hasOpenSink)) listChanges.missedAll();
  if (getStream.sink !== undefined) getStream.resuming.park();
  session.enter();
  getStream.use(sink, () => session.exit());
  if (getStream.logged) record.setGetPrimed();
  const primed = getStream.storePoint();
  listChanges.sendOn(getStream);
  session.usedQuestions?.send();
  return primed;
}

/** The stream of a `Last-Event-ID`, while it is not complete. */
export function resumable({ record, getStream, calls }: LiveSession, stream: string): Stream | undefined {
  if (stream === GET_STREAM) return record.getPrimed ? getStream : undefined;
  return calls.running.stream(stream);
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
    resumed = await stream.resuming.resume(open, from, () => session.exit());
  } finally {
    if (!resumed) session.exit();
  }
  // The session left while the log was read: end the sink, so that its client resumes at the next owner.
  if (resumed && session.left) stream.endSink();
  else if (resumed && stream === session.getStream) {
    session.listChanges.sendOn(stream);
    session.usedQuestions?.send();
  }
  return resumed;
}
