/**
 * What runs around each handler of a server (`sdk/handlers.ts`), for sessions and for single requests:
 *
 *     its work counts, and holds the places of its call
 *       └─▶ aroundRequest ─▶ authorize: an unknown name instead, or a filtered list ─▶ sharedLists ─▶ the handler
 *
 * A server without the SDK's tables of handlers has no seam. It is served, but its places are given back when a request
 * ends; with `authorize` or `aroundRequest` it is refused.
 */
import { type RpcRequest, toolOf } from '../../protocol/jsonrpc.ts';
import { type Enter, enterHandlers, type Entered } from '../../sdk/handlers.ts';
import type { Handler } from '../../sdk/sdk-server.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import { noticeThrows, rememberSchemas } from '../../sdk/tools.ts';
import { AnswerError } from './answer-error.ts';
import { type Call, currentCall, noticingRunner } from './call.ts';

/** Runs a handler for a request. It may get another request and context than the SDK gave. */
export type RunHandler = (message: RpcRequest, given: unknown) => unknown;

/** `false`: the server has no tables of handlers where this version of the SDK has them. */
export const watchHandlers = (made: AnyServer): boolean => enterHandlers(made, FACTORY);

const FACTORY: Enter = {
  enter(entered, handler, message, given) {
    const call = currentCall.getStore();
    return call === undefined ? handler(message, given) : enterHandler(call, entered, message, given, handler);
  },
  missing,
};

/** `shared`: the handler of every session for this message; `undefined`: each session has another. */
export function enterHandler(
  call: Call,
  { inner, made }: Entered,
  message: unknown,
  given: unknown,
  handler: RunHandler,
  shared?: unknown,
): unknown {
  const { services, around } = call;
  const ask: RunHandler = (asked, context) => {
    const tool = toolOf(asked);
    if (tool !== undefined) noticeThrows(made, tool, noticingRunner);
    else if (asked.method === 'tools/list') rememberSchemas(made);
    return handler(asked, context);
  };
  const request = message as RpcRequest;
  const { authorizer, lists } = services ?? {};
  // A handler within a handler, or one that this library calls for a request of its client.
  const isWithin = call.handlerServer !== undefined || request.method !== call.method;
  if (isWithin || (authorizer ?? lists ?? around) === undefined)
    return call.handledBy(inner, () => ask(request, given));
  const listed: RunHandler =
    lists === undefined ? ask : (listing, context) => lists.around(inner, listing, shared, () => ask(listing, context));
  const allowed: RunHandler =
    authorizer === undefined
      ? listed
      : (asking, context) => authorizer.around(call, made, asking, (asked) => listed(asked, context));
  if (around === undefined || call.isRefused) return call.handledBy(inner, () => allowed(request, given));
  // It may answer, and its handler still runs.
  const counted: RunHandler = (changed, context) => call.handledBy(inner, () => allowed(changed, context));
  return call.handledBy(inner, () => around.run(request, given, counted));
}

/** `aroundRequest` gets requests that no handler answers, too. */
export function missing(): Handler | undefined {
  return currentCall.getStore()?.around === undefined ? undefined : NO_HANDLER;
}

const METHOD_NOT_FOUND = { code: -32_601, message: 'Method not found' };

const NO_HANDLER: Handler = () => {
  const call = currentCall.getStore();
  if (call !== undefined) call.isUnhandled = true;
  throw new AnswerError(METHOD_NOT_FOUND);
};
