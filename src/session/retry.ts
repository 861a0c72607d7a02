/**
 * A request that comes a second time because nobody could tell how the first try ended: the instance that relays it lost the
 * owner, or its own lease; or a client comes back for a call that runs again after its owner was lost.
 *
 *     the first try runs here ─▶ its stream has a new reader
 *     it has a marker          ─▶ what the log kept of its answer, or nothing: it is lost
 *     neither                  ─▶ it never ran
 */
import type { RpcRequest } from '../protocol/jsonrpc.ts';
import type { Sink } from '../http/sink.ts';
import { resumeStream } from './readers.ts';
import type { LiveSession } from './session.ts';
import { replayComplete } from './stream.ts';

/** Whether a first try of one of these requests runs here, or may have run somewhere. */
export function isRetry({ running, guard }: LiveSession, requests: readonly RpcRequest[]): boolean {
  return requests.some(({ id }) => running.get(id) !== undefined || guard?.marked(id) !== undefined);
}

/** Whether a lost owner's call of that id runs again here: its client comes with it once more. */
export function isRerunning({ running }: LiveSession, requests: readonly RpcRequest[]): boolean {
  return requests.some(({ id, method }) => {
    const first = running.get(id);
    return first?.orphan === true && first.method === method;
  });
}

/** Resolves when none of these requests waits to be stored any more. */
export async function firstAttemptStarted({ running }: LiveSession, requests: readonly RpcRequest[]): Promise<void> {
  for (const { id } of requests) await running.get(id)?.starting;
}

/** Gives a reader what the first try of these requests is answered; `false`: its outcome is lost. */
export async function attachToFirstAttempt(
  session: LiveSession,
  requests: readonly RpcRequest[],
  open: () => Sink,
): Promise<boolean> {
  for (const request of requests) {
    const { id } = request;
    const stream = session.running.get(id)?.stream;
    if (stream?.logged === true) {
      // Its first event may be on its way into the store.
      await stream.flushed();
      return resumeStream(session, stream, open, { offset: 0, resumes: 0 });
    }
    if (stream !== undefined) {
      stream.detach();
      stream.use(open());
      session.questions.askAgain(stream);
      return true;
    }
    const key = session.guard?.marked(id);
    if (key !== undefined && session.getStream.logged && (await replayWhole(session, key, request, open))) return true;
  }
  return false;
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
