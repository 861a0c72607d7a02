/**
 * What runs around each handler of a server (`sdk/handlers.ts`), for sessions and for single requests:
 *
 *     its work counts, and holds the places of its call
 *       └─▶ aroundRequest ─▶ authorize: an unknown name instead, or a filtered list ─▶ sharedLists ─▶ the handler
 *
 * A server without the SDK's tables of handlers has no seam. It is served, but its places are given back when a request
 * ends; with `authorize` or `aroundRequest` it is refused.
 */
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { type Enter, enterHandlers, type Entered } from '../../sdk/handlers.ts';
import { isToolsList, rememberSchemas } from '../../sdk/schema-memo.ts';
import type { Handler } from '../../sdk/sdk-server.ts';
import { type AnyServer, replaceToolRunner } from '../../sdk/server-shape.ts';
import { AnswerError } from './answer-error.ts';
import { type Call, currentCall, noticingRunner, type ToolRunner } from './call.ts';

/** Runs a handler for a request. It may get another request and context than the SDK gave. */
export type RunHandler = (message: RpcRequest, given: unknown) => unknown;

/** The key is the method of `McpServer`. */
const runners = new WeakMap<object, ToolRunner>();

/** `false`: the server has no tables of handlers where this version of the SDK has them. */
export function watchHandlers(made: AnyServer): boolean {
  if (!enterHandlers(made, FACTORY)) return false;
  replaceToolRunner(made, (runner) => {
    let noticing = runners.get(runner);
    if (noticing === undefined) runners.set(runner, (noticing = noticingRunner(runner)));
    return noticing;
  });
  return true;
}

const FACTORY: Enter = {
  enter(entered, handler, message, given) {
    const call = currentCall.getStore();
    const run: RunHandler = (request, context) => handler(request, context);
    return call === undefined ? run(message as RpcRequest, given) : enterHandler(call, entered, message, given, run);
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
  const ask: RunHandler = (request, context) => {
    if (isToolsList(request)) rememberSchemas(made);
    return handler(request, context);
  };
  // A handler within a handler, or one that this library calls for a request of its client.
  const isWithin = call.handlerServer !== undefined || (message as RpcRequest).method !== call.method;
  const notices = services?.options.notices;
  if (isWithin || services === undefined)
    return call.handledBy(inner, () => ask(message as RpcRequest, given), notices);
  const { authorizer, lists } = services;
  const listed: RunHandler =
    lists === undefined
      ? ask
      : (request, context) => lists.around(inner, request, shared, () => ask(request, context))();
  const allowed: RunHandler =
    authorizer === undefined
      ? listed
      : (request, context) => authorizer.around(call, made, request, (asked) => listed(asked, context));
  const request = message as RpcRequest;
  if (around === undefined || call.isRefused) return call.handledBy(inner, () => allowed(request, given), notices);
  // It may answer, and its handler still runs.
  const counted: RunHandler = (changed, context) => call.handledBy(inner, () => allowed(changed, context), notices);
  return call.handledBy(inner, () => around.run(request, given, counted), notices);
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
