/** Who reads the streams of a live session: its GET stream anew, or any stream from where a reader left it. */
import type { Sink } from '../http/sink.ts';
import type { MaybePromise } from '../stores/store.ts';
import { GET_STREAM } from './event-id.ts';
import type { LiveSession } from './session.ts';
import type { ResumeFrom, Stream } from './stream.ts';
import type { WriteResult } from './stream-writer.ts';

/**
 * A new reader of the GET stream takes over from the one before. `missed`: its client missed messages that are not kept. A client
 * that asks without `Last-Event-ID` for a stream that it had before missed some, too.
 */
export function openGet(session: LiveSession, sink: Sink, missed: boolean): MaybePromise<WriteResult> {
  const { getStream, record, news } = session;
  if (missed || (record.getPrimed && !getStream.read)) news.missedAll();
  getStream.park();
  session.enter();
  getStream.use(sink, session.exit);
  if (getStream.logged && !record.getPrimed) {
    record.getPrimed = true;
    record.save({ getStream: true });
  }
  const primed = getStream.resumePoint();
  news.tell(getStream);
  return primed;
}

/** The stream of a `Last-Event-ID`, while it is not complete. */
export function resumable({ record, getStream, posts }: LiveSession, stream: string): Stream | undefined {
  if (stream === GET_STREAM) return record.getPrimed ? getStream : undefined;
  return posts.running(stream);
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
    resumed = await stream.resume(open, from, session.exit);
  } finally {
    if (!resumed) session.exit();
  }
  // It left while the log was read: the reader comes back, and finds where it went.
  if (resumed && session.left !== undefined) stream.detach();
  else if (resumed && stream === session.getStream) session.news.tell(stream);
  return resumed;
}
