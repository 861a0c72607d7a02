/**
 * A request that arrives a second time because the outcome of its first attempt is unknown: the relaying instance lost
 * the owner, or its own lease; or a client retries a call that runs again after its owner was lost.
 *
 *     the first attempt runs here, or its answer is being stored ─▶ its stream gets a new reader
 *     it has a marker, or ran again here ─▶ the answer that the log kept, or none: the outcome is lost
 *     neither                  ─▶ it never ran
 */
import type { RpcRequest } from '../protocol/jsonrpc.ts';
import type { Sink } from '../http/sink.ts';
import { resumeStream } from './readers.ts';
import type { LiveSession } from './session.ts';
import { replayComplete, type Stream } from './stream.ts';

/** Whether a first attempt of one of these requests runs here, or may have run on some instance. */
export function isRetry(session: LiveSession, requests: readonly RpcRequest[]): boolean {
  const { running } = session.requests;
  return requests.some(
    (request) => running.get(request.id) !== undefined || earlierStream(session, request) !== undefined,
  );
}

/** The stream of an attempt of this request that may have run: on an earlier owner, or again here. */
function earlierStream({ guard, requests }: LiveSession, request: RpcRequest): string | undefined {
  return requests.rerunStream(request) ?? guard?.marked(request.id);
}

/** Whether a lost owner's call of the same id runs again here: its client retries the call. */
export function isRerunning(session: LiveSession, requests: readonly RpcRequest[]): boolean {
  const { running } = session.requests;
  return requests.some(
    (request) => running.get(request.id) !== undefined && session.requests.rerunStream(request) !== undefined,
  );
}

/** Resolves when no first attempt of these requests waits for the store. */
export async function firstAttemptStarted(session: LiveSession, requests: readonly RpcRequest[]): Promise<void> {
  for (const { id } of requests) await session.requests.running.get(id)?.starting;
}

/** Gives a reader the answers of the first attempt. `false`: the outcome is lost. */
export async function attachToFirstAttempt(
  session: LiveSession,
  requests: readonly RpcRequest[],
  open: () => Sink,
): Promise<boolean> {
  for (const request of requests) {
    const { id } = request;
    const key = earlierStream(session, request);
    const stream = session.requests.running.get(id)?.stream ?? answeredStream(session, key);
    if (stream?.logged === true) {
      // The first event, or the answer, may not be stored yet.
      await stream.flushed();
      return resumeStream(session, stream, open, { offset: 0, resumes: 0 });
    }
    if (stream !== undefined) {
      stream.detach();
      stream.use(open());
      session.questions.askAgain(stream);
      return true;
    }
    if (key !== undefined && session.streamLog !== undefined && (await replayWhole(session, key, request, open)))
      return true;
  }
  return false;
}

/** The stream of an answered call, while the log does not hold its end yet. */
function answeredStream({ requests }: LiveSession, key: string | undefined): Stream | undefined {
  const stream = key === undefined ? undefined : requests.streams.running(key);
  return stream?.logged === true ? stream : undefined;
}

async function replayWhole(
  { log }: LiveSession,
  stream: string,
  { id: call, method }: RpcRequest,
  open: () => Sink,
): Promise<boolean> {
  const kept = await log.read(stream, -1);
  if (!kept.found || !kept.complete) return false;
  replayComplete(kept.events, open(), { stream, call, isTool: method === 'tools/call', offset: 0, resumes: 0 }, log);
  return true;
}
