/** The context of a handler: `ctx` of SDK version 2, `extra` of version 1. The last argument is the context in both. */
import { handledIf } from '../../base/handled-rejections.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';

/** Runs instead of a method of the context. `send`: the method with these arguments. */
export type MethodWay = (send: () => unknown, given: readonly unknown[], name: string) => unknown;

/** One way for the methods that notify the client. */
export const notifying = (way: MethodWay): Readonly<Record<string, MethodWay>> => ({
  notify: way,
  log: way,
  sendNotification: way,
});

/**
 * A copy with another signal, and with a way for some of its methods and those of `ctx.mcpReq`. `isOver`: what these
 * reject with from now on is no mistake of the handler.
 */
export function changedContext(
  ctx: unknown,
  signal: AbortSignal,
  ways: Readonly<Record<string, MethodWay>>,
  isOver = (): boolean => signal.aborted,
): unknown {
  if (!isObject(ctx)) return ctx;
  const request = ctx['mcpReq'];
  const made = changed(ctx, signal, ways, isOver);
  return isObject(request) ? { ...made, mcpReq: changed(request, signal, ways, isOver) } : made;
}

function changed(
  of: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
  ways: Readonly<Record<string, MethodWay>>,
  isOver: () => boolean,
): Record<string, unknown> {
  const made: Record<string, unknown> = { ...of };
  if ('signal' in of) made['signal'] = signal;
  for (const [name, way] of Object.entries(ways)) {
    const method = of[name];
    if (typeof method !== 'function') continue;
    const called = async (given: unknown[]): Promise<unknown> =>
      way(() => method.apply(of, given), given, name);
    made[name] = (...given: unknown[]) => handledIf(isOver, called(given));
  }
  return made;
}

export const withContext = <Given extends readonly unknown[]>(given: Given, ctx: unknown): Given =>
  [...given.slice(0, -1), ctx] as unknown as Given;

/** The signal that the SDK aborts when the request is cancelled or its connection is gone. */
export function signalOf(ctx: unknown): AbortSignal {
  const from = isObject(ctx) && isObject(ctx['mcpReq']) ? ctx['mcpReq'] : ctx;
  const signal = isObject(from) ? from['signal'] : undefined;
  return signal instanceof AbortSignal ? signal : new AbortController().signal;
}
