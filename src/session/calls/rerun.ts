/**
 * Ends the calls that a lost owner left: streams that are not complete, and markers of calls that may have run.
 * `forLost` says which of them run again (`inbound/retries.ts`), the others end with `owner_lost`. So does a call when
 * the caller who restores the session has other rights than its caller, or lacks a scope that the server asks for.
 *
 * Clients find the outcome by `Last-Event-ID`. Markers stay: an instance that relayed such a call may send it again,
 * and then gets its outcome.
 */
import { ownerLost } from '../../errors.ts';
import { forLost } from '../../inbound/retries.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { Mark, OpenStream } from '../../stores/store.ts';
import { toolsOf } from './listed-tool.ts';
import { readKept, requestKey, rightsOf, type KeptRequest } from './markers.ts';
import type { Caller } from './call.ts';
import { comparePostStreams, GET_STREAM } from '../streams/event-id.ts';
import type { LiveSession } from '../session.ts';

export async function takeLostCalls(
  session: LiveSession,
  open: readonly OpenStream[],
  markers: readonly Mark[],
  caller: Caller,
): Promise<void> {
  const { running } = session.calls;
  session.markers?.adopt(markers);
  const lostCalls = open
    .filter(({ stream }) => stream !== GET_STREAM)
    .map(({ stream, next, note }) => {
      const request = readKept(note);
      return { stream, next, request, whole: request?.cut === undefined ? request : undefined };
    })
    .toSorted((a, b) => comparePostStreams(a.stream, b.stream));
  const marked = new Set(markers.map(({ stream }) => stream));
  if (lostCalls.some(({ stream, whole }) => marked.has(stream) && whole !== undefined)) {
    const tools = await toolsOf((cursor, page) =>
      session.calls.ask({ jsonrpc: '2.0', id: `sojourn.hints.${page}`, method: 'tools/list', ...cursor }, caller),
    );
    session.markers?.learn({ result: { tools: [...tools.values()] } });
  }
  // In the order in which they were opened.
  const newest = new Map(lostCalls.map(({ stream, request }) => [request && requestKey(request.id), stream]));
  for (const { stream: key, next, request, whole } of lostCalls) {
    const stream = running.openStream([request], session.log, { key, next });
    const { runs, mayHaveRun } = forLost({
      kept: whole !== undefined,
      newest: newest.get(request && requestKey(request.id)) === key,
      marked: marked.has(key),
      repeatable: whole !== undefined && session.markers?.repeatable(whole) === true,
    });
    const run = runs && whole !== undefined ? await allowedRequest(session, whole, caller) : undefined;
    const runsAgain = run !== undefined;
    session.host.options.notices.emit({ kind: 'callLost', runsAgain, method: request?.method, sessionId: session.id });
    if (run !== undefined) {
      session.calls.rerun(run.request, caller, stream, run.isAllowed);
      continue;
    }
    // An unknown request has no id to answer.
    const json = request && session.lostCallJson(request, ownerLost(mayHaveRun));
    running.reply(stream, json);
    if (json !== undefined) {
      session.pushAnswer(json);
      await stream.flushed();
    }
  }
}

/**
 * A call runs again in the name of the caller whose request restores the session. `undefined`: it does not run, because
 * this caller has other rights or lacks a scope.
 */
async function allowedRequest(
  session: LiveSession,
  request: KeptRequest,
  { authInfo }: Caller,
): Promise<{ readonly request: RpcRequest; readonly isAllowed: boolean } | undefined> {
  if (request.rights !== rightsOf(authInfo)) {
    const { id: sessionId, logger } = session;
    logger.info({ sessionId, method: request.method }, 'A lost call is not run again: this caller has other rights');
    return undefined;
  }
  const { id, method, params } = request;
  const sent: RpcRequest = { jsonrpc: '2.0', id, method, ...(params && { params }) };
  const { authorizer } = session.host.services;
  const isAllowed = (await authorizer?.allows(sent, authInfo)) ?? true;
  const scoped = authInfo ?? authorizer?.unscoped;
  const refused = isAllowed ? await session.transport.checkScopes([sent], scoped) : undefined;
  return refused === undefined ? { request: sent, isAllowed } : undefined;
}
