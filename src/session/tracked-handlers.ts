/**
 * Makes each handler of a server run within `handledBy` of its request. The SDK tells a transport nothing about a
 * handler that settles after its request was cancelled. So this file wraps the table in which the SDK looks handlers
 * up. A server without this table gives its places back when its requests end. Servers of a definition have a table of
 * their own (`definition/light-server.ts`).
 */
import { isObject } from '../protocol/jsonrpc.ts';
import type { AnyServer } from '../protocol/server-shape.ts';
import { contexts } from './context.ts';

type Handler = (request: unknown, ctx: unknown) => unknown;

export function trackHandlers(made: AnyServer): void {
  const outer: unknown = made;
  const inner = isObject(outer) && isObject(outer['server']) ? outer['server'] : outer;
  const handlers: unknown = isObject(inner) ? inner['_requestHandlers'] : undefined;
  if (!isObject(inner) || !(handlers instanceof Map) || handlers.get !== Map.prototype.get) return;
  const stored = handlers.get.bind(handlers);
  handlers.get = (method: unknown): unknown => {
    const handler = (stored(method) ?? inner['fallbackRequestHandler']) as Handler | undefined;
    const context = contexts.getStore();
    if (handler === undefined || context === undefined) return handler;
    return (request: unknown, ctx: unknown) => context.handledBy(inner, () => handler(request, ctx));
  };
}
