/**
 * A request that arrives a second time because the outcome of its first attempt is unknown: the relaying instance lost
 * the owner, or its own lease; or a client retries a call that runs again after its owner was lost. If the first
 * attempt runs here, its stream gets a new sink. Otherwise `forRepeat` decides (`inbound/retries.ts`).
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { Inbound } from '../../inbound/inbound.ts';
import { type FirstAttempt, forRepeat } from '../../inbound/retries.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { Sink } from '../../http/sink.ts';
import { type Call, targetOf } from './call.ts';
import { resumeStream } from '../streams/attach.ts';
import { rightsOf } from './rights.ts';
import type { LiveSession } from '../session.ts';
import { replayComplete } from '../streams/resuming.ts';
import type { Stream } from '../streams/stream.ts';

/**
 * Whether a first attempt of one of these requests runs here, or `mayHaveRun` on some instance, or ran here from what
 * an attempt stored. A running request with one of their ids that is another call is no first attempt.
 */
export function isRetry(
  session: LiveSession,
  requests: readonly RpcRequest[],
  authInfo: AuthInfo | undefined,
  { mayHaveRun = false, storedAs }: Pick<Inbound, 'mayHaveRun' | 'storedAs'>,
): boolean {
  return requests.some((request) => {
    const running = session.calls.running.get(request.id);
    const earlier = session.calls.earlier.of(request);
    if (running === undefined)
      return mayHaveRun
        ? earlierStream(session, request) !== undefined
        : earlier !== undefined && earlier.stream === storedAs;
    // The client retries a call of a lost owner that runs again here.
    const reran = requests.length === 1 && earlier?.reran === true;
    return (mayHaveRun || reran) && isSameCall(running, request, authInfo);
  });
}

/** From a caller with the same rights. */
function isSameCall(
  { method, target, authInfo: before }: Call,
  request: RpcRequest,
  authInfo: AuthInfo | undefined,
): boolean {
  return method === request.method && target === targetOf(request.params) && rightsOf(before) === rightsOf(authInfo);
}

/** The stream of an attempt of this request that ran here, or may have run on an earlier owner. */
function earlierStream({ markers, calls }: LiveSession, request: RpcRequest): string | undefined {
  return calls.earlier.of(request)?.stream ?? markers?.marked(request.id);
}

export async function attachToFirstAttempt(
  session: LiveSession,
  requests: readonly RpcRequest[],
  open: () => Sink,
): Promise<FirstAttempt> {
  const { running } = session.calls;
  // It may wait for the store, and be refused before it runs.
  for (const { id } of requests) await running.get(id)?.starting;
  const attached = await attach(session, requests, open);
  const runs = requests.some(({ id }) => running.get(id) !== undefined);
  const first = forRepeat({
    attached,
    runs,
    marked: requests.some(({ id }) => session.markers?.marked(id) !== undefined),
  });
  if (first === 'run') for (const { id } of requests) session.calls.earlier.forget(id);
  return first;
}

async function attach(session: LiveSession, requests: readonly RpcRequest[], open: () => Sink): Promise<boolean> {
  for (const request of requests) {
    const key = earlierStream(session, request);
    const stream = session.calls.running.get(request.id)?.stream ?? answeredStream(session, key);
    if (stream?.logged === true) {
      // The first event, or the answer, may not be stored yet.
      await stream.flushed();
      return resumeStream(session, stream, open, { offset: 0, resumes: 0 });
    }
    if (stream !== undefined) {
      stream.endSink();
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
function answeredStream({ calls }: LiveSession, key: string | undefined): Stream | undefined {
  const stream = key === undefined ? undefined : calls.running.stream(key);
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
