/**
 * Calls that begin again.
 *
 * A lost owner left streams that are not complete, and markers of calls that may have run.
 * `forLost` says which of them run again (`session/inbound/retries.ts`), the others end with
 * `owner_lost`. So does a call when the caller who restores the session has other rights than its
 * caller, or lacks a scope that the server asks for, and a call that has begun `MOST_RUNS` times.
 * Clients find the outcome by `Last-Event-ID`. Markers stay, also those that count runs: an
 * instance that relayed such a call may send it again, and then gets its outcome.
 *
 * A request arrives a second time where the outcome of its first attempt is unknown: the relaying instance lost the
 * owner, or its own lease; or a proxy lost the instance that had the request (`attempts.ts`). If the first attempt runs
 * here, its stream gets a new sink. Otherwise `forRepeat` decides.
 */
import { ownerLost, ranTooOften, restoreFailed } from '../../base/errors.ts';
import { lostCallJson } from '../../http/answer.ts';
import type { Sink } from '../../http/sink.ts';
import type { Inbound } from '../inbound/inbound.ts';
import { type FirstAttempt, forLost, forRepeat } from '../inbound/retries.ts';
import { type RpcRequest, targetOf } from '../../base/protocol/jsonrpc.ts';
import { callsTool } from '../../base/protocol/methods.ts';
import type { Mark, OpenStream } from '../../stores/store.ts';
import type { LiveSession } from '../session.ts';
import { keyOf } from '../calls/session-calls.ts';
import { replayComplete, resumeStream } from '../attach.ts';
import { comparePostStreams, GET_STREAM } from '../streams/event-id.ts';
import { keptClient, keptText } from '../../base/shown.ts';
import { attemptKey } from '../calls/attempts.ts';
import type { Call, Caller } from '../calls/call.ts';
import { toolsOf } from '../calls/listed-tool.ts';
import { keptName } from '../calls/watched-run.ts';
import {
  begunOn,
  type MarkedRequest,
  readKept,
  requestKey,
  rightsOf,
  saysMayHaveRun,
} from '../calls/markers.ts';

// ——— calls of a lost owner ———

/** The open stream of a call whose owner was lost. */
interface LostCall extends Pick<OpenStream, 'stream' | 'next'> {
  /** `undefined`: an unknown version stored it. */
  readonly request: MarkedRequest | undefined;
  /** `undefined`: it was too large to keep whole. */
  readonly whole: MarkedRequest | undefined;
}

/** `lost`: the owner before, where the record names one. */
export async function takeLostCalls(
  session: LiveSession,
  open: readonly OpenStream[],
  markers: readonly Mark[],
  caller: Caller,
  lost: string | null,
): Promise<void> {
  session.markers?.adopt(markers, new Set(open.map(({ stream }) => stream)));
  const lostCalls = open
    .filter(({ stream }) => stream !== GET_STREAM)
    .map(({ stream, next, note }): LostCall => {
      const request = readKept(note);
      return { stream, next, request, whole: request?.cut === undefined ? request : undefined };
    })
    // In the order in which they were opened.
    .toSorted((a, b) => comparePostStreams(a.stream, b.stream));
  const judged = await judge(session, lostCalls, markers, caller);
  // No run begins before all are counted, because its handler may end this process.
  const counted = judged.map(async ({ stream, run }) =>
    run === undefined ? undefined : session.markers?.countRun(run.key, run.attempt, stream),
  );
  if ((await Promise.all(counted)).includes('fenced')) throw restoreFailed();
  for (const { stream: key, next, request, run, begun, error } of judged) {
    const stream = session.calls.running.openStream([request], session.log, { key, next });
    const runsAgain = run !== undefined;
    session.host.options.notices.emit({
      kind: 'callLost',
      runsAgain,
      method: request?.method,
      target: request && keptName(request.method, targetOf(request)),
      userKey: session.userKey,
      client: keptClient(session.handshake.params.clientInfo),
      sessionId: session.id,
      instance: lost ?? undefined,
      run: Math.max(1, begun),
    });
    if (run !== undefined) {
      session.calls.rerun(run.request, caller, stream, run);
      continue;
    }
    // An unknown request has no id to answer.
    const json = request && lostCallJson(session.host.options, request, error);
    session.calls.running.reply(stream, json);
    if (json !== undefined) {
      session.pushAnswer(json);
      await stream.flushed();
    }
  }
}

/** `run`: the next run of the call; `undefined`: the call ends with `error`. */
async function judge(
  session: LiveSession,
  lostCalls: readonly LostCall[],
  markers: readonly Mark[],
  caller: Caller,
) {
  const marked = new Set(markers.filter(saysMayHaveRun).map(({ stream }) => stream));
  if (lostCalls.some(({ stream, whole }) => marked.has(stream) && whole !== undefined))
    await learnTools(session, caller);
  const newest = new Map(
    lostCalls.map(({ stream, request }) => [request && requestKey(request.id), stream]),
  );
  const judged = lostCalls.map(async ({ stream, next, request, whole }) => {
    const begun = begunOn(stream, request, markers);
    const outcome = forLost({
      kept: whole !== undefined,
      newest: newest.get(request && requestKey(request.id)) === stream,
      marked: marked.has(stream),
      repeatable: whole !== undefined && session.markers?.repeatable(whole) === true,
      begun,
    });
    const run =
      outcome === 'run' && whole !== undefined
        ? await allowedRequest(session, whole, caller)
        : undefined;
    if (outcome === 'ranOften' && request !== undefined)
      session.logger.warn(
        { sessionId: session.id, method: request.method, tool: targetOf(request), runs: begun },
        'A call is not run again: each time that it ran, its instance died or drained; its handler may be the cause',
      );
    const error = outcome === 'ranOften' ? ranTooOften(begun) : ownerLost(outcome !== 'neverRan');
    const key = run && (whole?.attempt ?? attemptKey(run.request));
    return {
      stream,
      next,
      request,
      run: run && { ...run, key: key ?? '', attempt: begun + 1 },
      begun,
      error,
    };
  });
  return Promise.all(judged);
}

/** Asks the server which of its tools may run twice. Rejects with HOOK_TIMEOUT. */
export async function learnTools(session: LiveSession, caller: Caller): Promise<void> {
  const tools = await toolsOf((cursor, page) =>
    session.calls.ask(
      { jsonrpc: '2.0', id: `sojourn.hints.${page}`, method: 'tools/list', ...cursor },
      caller,
    ),
  );
  session.markers?.learn({ result: { tools: [...tools.values()] } });
  const { notices } = session.host.options;
  for (const name of tools.keys()) if (typeof name === 'string') notices.tools.add(keptText(name));
}

/**
 * A call runs again in the name of the caller whose request restores the session. `undefined`: it does not run, because
 * this caller has other rights or lacks a scope.
 */
async function allowedRequest(
  session: LiveSession,
  request: MarkedRequest,
  { authInfo }: Caller,
): Promise<{ readonly request: RpcRequest; readonly isAllowed: boolean } | undefined> {
  if (request.rights !== rightsOf(authInfo)) {
    const { id: sessionId, logger } = session;
    logger.info(
      { sessionId, method: request.method },
      'A lost call is not run again: this caller has other rights',
    );
    return undefined;
  }
  const { id, method, params } = request;
  const sent: RpcRequest = { jsonrpc: '2.0', id, method, ...(params && { params }) };
  const { authorizer } = session.host.services;
  const isAllowed = (await authorizer?.allows(sent, authInfo)) ?? true;
  const scoped = authInfo ?? authorizer?.unscoped();
  const refused = isAllowed ? await session.transport.checkScopes([sent], scoped) : undefined;
  return refused === undefined ? { request: sent, isAllowed } : undefined;
}

// ——— requests that arrive a second time ———

/** The first attempt of a request. */
interface First {
  readonly key: string;
  /** It runs here. */
  readonly call?: Call;
  /** The stream on which it ran here, or may have run on an earlier owner. */
  readonly earlier?: string | undefined;
  readonly marked?: string | undefined;
}

function firstOf(
  { calls, markers }: LiveSession,
  request: RpcRequest,
  { attemptId, caller }: Inbound,
): First {
  const { running } = calls;
  const key = attemptKey(request, attemptId);
  const call = running.get(request.id);
  const first = { key, earlier: running.earlier(key), marked: markers?.marked(key) };
  if (call === undefined || keyOf(call) !== key) return first;
  // A caller with other rights does not get its answer: its id is in flight.
  return rightsOf(call.authInfo) === rightsOf(caller.authInfo) ? { ...first, call } : { key };
}

/**
 * Whether a first attempt of one of these requests runs here, or may have run on some instance, or ran here from what
 * an attempt stored. Without an `attemptId` only this library says so.
 */
export function isRetry(
  session: LiveSession,
  requests: readonly RpcRequest[],
  arrival: Inbound,
): boolean {
  const { storedAs, attemptId } = arrival;
  const mayHaveRun = arrival.mayHaveRun !== undefined;
  // The first arrival of a name that another instance made says nothing of earlier ones.
  const isNamed = attemptId?.ofProxy === true || mayHaveRun;
  if (!isNamed && storedAs === undefined) return false;
  return requests.some((request) => {
    const { call, earlier, marked } = firstOf(session, request, arrival);
    if (!isNamed) return earlier === storedAs;
    if (call !== undefined || earlier !== undefined) return true;
    // What was stored for it and did not run is no run.
    return marked !== undefined && (mayHaveRun || marked !== storedAs);
  });
}

export async function attachToFirstAttempt(
  session: LiveSession,
  requests: readonly RpcRequest[],
  arrival: Inbound,
  open: () => Sink,
): Promise<FirstAttempt> {
  // It may wait for the store, and be refused before it runs.
  for (const request of requests) await firstOf(session, request, arrival).call?.starting;
  const attached = await attach(session, requests, arrival, open);
  const firsts = requests.map((request) => firstOf(session, request, arrival));
  const runs = firsts.some(({ call }) => call !== undefined);
  // If there are no markers, nothing says whether a call may run twice.
  const marked = firsts.some(
    (first) => (session.markers === undefined ? first.earlier : first.marked) !== undefined,
  );
  const first = forRepeat({ attached, runs, marked });
  if (first === 'run') for (const { key } of firsts) session.calls.running.forget(key);
  return first;
}

async function attach(
  session: LiveSession,
  requests: readonly RpcRequest[],
  arrival: Inbound,
  open: () => Sink,
): Promise<boolean> {
  const { calls } = session;
  for (const request of requests) {
    const { id: call, method } = request;
    const first = firstOf(session, request, arrival);
    const key = first.earlier ?? first.marked;
    const running = first.call?.stream;
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
    const isTool = callsTool(method);
    replayComplete(
      kept.events,
      open(),
      { stream: key, call, isTool, offset: 0, resumes: 0 },
      session.log,
    );
    return true;
  }
  return false;
}
