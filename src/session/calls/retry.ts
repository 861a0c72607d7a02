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
import { replayComplete, resumeStream } from '../streams/attach.ts';
import { rightsOf } from './markers.ts';
import type { LiveSession } from '../session.ts';

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
  const { running } = session.calls;
  return requests.some((request) => {
    const first = running.get(request.id);
    const earlier = running.earlier(request);
    if (first === undefined)
      return mayHaveRun
        ? earlierStream(session, request) !== undefined
        : earlier !== undefined && earlier.stream === storedAs;
    // The client retries a call of a lost owner that runs again here.
    const reran = requests.length === 1 && earlier?.reran === true;
    return (mayHaveRun || reran) && isSameCall(first, request, authInfo);
  });
}

/** From a caller with the same rights. */
function isSameCall(first: Call, request: RpcRequest, authInfo: AuthInfo | undefined): boolean {
  const { method, target, authInfo: before } = first;
  return method === request.method && target === targetOf(request) && rightsOf(before) === rightsOf(authInfo);
}

/** The stream of an attempt of this request that ran here, or may have run on an earlier owner. */
function earlierStream({ markers, calls }: LiveSession, request: RpcRequest): string | undefined {
  return calls.running.earlier(request)?.stream ?? markers?.marked(request.id);
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
  const marked = requests.some(({ id }) => session.markers?.marked(id) !== undefined);
  const first = forRepeat({ attached, runs, marked });
  if (first === 'run') for (const { id } of requests) running.forget(id);
  return first;
}

async function attach(session: LiveSession, requests: readonly RpcRequest[], open: () => Sink): Promise<boolean> {
  const { calls } = session;
  for (const request of requests) {
    const { id: call, method } = request;
    const key = earlierStream(session, request);
    const running = calls.running.get(call)?.stream;
    // The stream of an answered call is here while the log does not hold its end.
    const stream = running ?? (key === undefined ? undefined : calls.running.stream(key));
    if (stream?.logged === true) {
      // The first event, or the answer, may not be stored yet.
      await stream.flushed();
      return resumeStream(session, stream, open, { offset: 0, resumes: 0 });
    }
    if (running !== undefined) {
      running.use(open());
      session.questions.askAgain(running);
      return true;
    }
    if (key === undefined || session.streamLog === undefined) continue;
    const kept = await session.log.read(key, -1);
    if (!kept.found || !kept.complete) continue;
    const isTool = method === 'tools/call';
    replayComplete(kept.events, open(), { stream: key, call, isTool, offset: 0, resumes: 0 }, session.log);
    return true;
  }
  return false;
}
