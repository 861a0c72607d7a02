import { isObject } from '../../protocol/jsonrpc.ts';

/** The signal that the SDK aborts when the request is cancelled or its connection is gone. */
export function signalOf(ctx: unknown): AbortSignal {
  const from = isObject(ctx) && isObject(ctx['mcpReq']) ? ctx['mcpReq'] : ctx;
  const signal = isObject(from) ? from['signal'] : undefined;
  return signal instanceof AbortSignal ? signal : new AbortController().signal;
}
