/**
 * What runs around each handler of a server (`sdk/handlers.ts`), for sessions and for single requests:
 *
 *     its work counts, and holds the places of its call
 *       └─▶ middleware ─▶ authorize: an unknown name instead, or a filtered list ─▶ sharedLists ─▶ the handler
 *
 * A server without the SDK's tables of handlers has no seam. It is served, but its places are given back when a request
 * ends; with `authorize` or `middleware` it is refused.
 */
import { isObject, type RpcRequest, toolOf } from '../../base/protocol/jsonrpc.ts';
import { isKnownRequest, listsTools } from '../../base/protocol/methods.ts';
import { type Enter, enterHandlers, type Entered } from '../../sdk/handlers.ts';
import type { Handler } from '../../sdk/sdk-server.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import { noticeThrows, rememberSchemas } from '../../sdk/tools.ts';
import { AnswerError } from '../../base/errors/answer-error.ts';
import { type Call, currentCall } from './call.ts';

/** Runs a handler for a request. It may get another request and context than the SDK gave. */
export type CallHandler = (message: RpcRequest, given: unknown) => unknown;

/** `false`: the server has no tables of handlers where this version of the SDK has them. */
export const watchHandlers = (made: AnyServer): boolean => enterHandlers(made, FACTORY);

const FACTORY: Enter = {
  enter(entered, handler, message, given) {
    const call = currentCall.getStore();
    return call === undefined
      ? handler(message, given)
      : enterHandler({ call, entered, handler }, message, given);
  },
  missing,
};

/** A handler that is entered. */
interface Visit {
  readonly call: Call;
  readonly entered: Entered;
  readonly handler: CallHandler;
  /** The handler of every session for this message; absent: each session has another. */
  readonly shared?: unknown;
}

/** A layer around the handler: it calls `next` with what the next layer gets, later or not at all. */
type Layer = (visit: Visit, request: RpcRequest, given: unknown, next: CallHandler) => unknown;

/** From the outside in. */
const LAYERS: readonly Layer[] = [
  function middleware({ call, entered }, request, given, next) {
    const { around } = call;
    if (around?.run === undefined || call.isRefused) return next(request, given);
    // It may answer, and its handler still runs.
    return around.run(request, given, (changed, context) =>
      call.handledBy(entered.inner, () => next(changed, context)),
    );
  },
  function authorize({ call, entered }, request, given, next) {
    const authorizer = call.services?.authorizer;
    if (authorizer === undefined) return next(request, given);
    // What `missing` says, so that nothing shows that the server has it.
    if (call.isRefused && !isKnownRequest(request.method)) return NO_HANDLER(request, given);
    return authorizer.around(call, entered.made, request, (asked) => next(asked, given));
  },
  function sharedLists({ call, entered, shared }, request, given, next) {
    const lists = call.services?.lists;
    return lists === undefined
      ? next(request, given)
      : lists.around(entered.inner, request, shared, () => next(request, given));
  },
];

export function enterHandler(visit: Visit, message: unknown, given: unknown): unknown {
  const { call, entered } = visit;
  const request = message as RpcRequest;
  const { authorizer, lists } = call.services ?? {};
  // A handler within a handler, or a handler that this library calls for a request of its client.
  const isWithin = call.handlerServer !== undefined || request.method !== call.method;
  const isPlain = isWithin || (authorizer ?? lists ?? call.around?.run) === undefined;
  return call.handledBy(entered.inner, () =>
    descend(visit, request, given, isPlain ? LAYERS.length : 0),
  );
}

/** Enters the layers from number `n` on, and then the handler. */
function descend(visit: Visit, request: RpcRequest, given: unknown, n: number): unknown {
  const layer = LAYERS[n];
  if (layer !== undefined)
    return layer(visit, request, given, (asked, context) => descend(visit, asked, context, n + 1));
  const { handler, entered } = visit;
  const tool = toolOf(request);
  if (tool !== undefined) noticeThrows(entered.made, tool, noticingRunner);
  else if (listsTools(request.method)) rememberSchemas(entered.made);
  return handler(request, given);
}

/** `middleware` gets requests that no handler answers, too. */
export function missing(): Handler | undefined {
  return currentCall.getStore()?.around?.run === undefined ? undefined : NO_HANDLER;
}

const METHOD_NOT_FOUND = { code: -32_601, message: 'Method not found' };

const NO_HANDLER: Handler = () => {
  noteUnhandled();
  throw new AnswerError(METHOD_NOT_FOUND);
};

/** The server of the call that runs has no method of this name: 2026-07-28 answers with another HTTP status then. */
export function noteUnhandled(): void {
  const call = currentCall.getStore();
  if (call !== undefined) call.isUnhandled = true;
}

type ToolRunner = (...args: unknown[]) => unknown;

/** Refuses what is no object: the SDK reads a member of it, and would tell the client about that. */
function checkedResult(result: unknown): unknown {
  if (isObject(result)) return result;
  const returned = result === null ? 'null' : typeof result;
  const error = new TypeError(
    `The tool returned ${returned}, not a result such as { content: [] }`,
  );
  // The stack would name this file.
  throw Object.assign(error, { name: 'NoResultError', stack: undefined });
}

/** The same function of a tool, with a notice of what it throws. */
function noticingRunner(run: ToolRunner, tool: object): ToolRunner {
  return async function runTool(this: unknown, ...args) {
    const call = currentCall.getStore();
    if (call !== undefined) call.tool = tool;
    try {
      return checkedResult(await run.apply(this, args));
    } catch (cause) {
      throw call === undefined ? cause : call.takeThrown(cause);
    }
  };
}
