/**
 * The context of a handler whose client may leave before it ends: `ctx` of SDK version 2, `extra` of version 1. Its
 * signal is that of the run. Without a client notifications are dropped, because a rejection would stop the handler
 * half-way, and questions are refused.
 */
import { isObject } from '../protocol/jsonrpc.ts';

const NOTIFIES = ['notify', 'log', 'sendNotification'];
const ASKS = ['send', 'elicitInput', 'requestSampling', 'sendRequest'];

type Method = (...given: unknown[]) => unknown;

/** `client`: aborts when the client has left. `run`: aborts when the run must end. */
export function detached(ctx: unknown, client: AbortSignal, run: AbortSignal): unknown {
  if (!isObject(ctx)) return ctx;
  const request = ctx['mcpReq'];
  const made = withoutClient(ctx, client, run);
  return isObject(request) ? { ...made, mcpReq: withoutClient(request, client, run) } : made;
}

function withoutClient(
  of: Readonly<Record<string, unknown>>,
  client: AbortSignal,
  run: AbortSignal,
): Record<string, unknown> {
  const made: Record<string, unknown> = { ...of };
  if ('signal' in of) made['signal'] = run;
  for (const name of NOTIFIES) {
    const notify = of[name];
    if (typeof notify === 'function') made[name] = notifying(notify as Method, of, client);
  }
  for (const name of ASKS) {
    const ask = of[name];
    if (typeof ask === 'function') made[name] = asking(ask as Method, of, client, name);
  }
  return made;
}

function notifying(notify: Method, of: object, client: AbortSignal): Method {
  return async (...given) => {
    if (client.aborted) return undefined;
    try {
      return await notify.apply(of, given);
    } catch (cause) {
      if (client.aborted) return undefined;
      throw cause;
    }
  };
}

function asking(ask: Method, of: object, client: AbortSignal, name: string): Method {
  return async (...given) => {
    if (client.aborted)
      throw new Error(`${name}(): the client of this call has left, and its run continues without one`);
    return ask.apply(of, given);
  };
}
