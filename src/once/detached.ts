/**
 * The context of a handler whose client may leave before it ends. Its signal is that of the run. Without a client
 * notifications are dropped, because a rejection would stop the handler half-way, and questions are refused.
 */
import { changedContext, type MethodWay, notifying } from '../session/calls/handler-context.ts';

/** `client`: aborts when the client has left. `run`: aborts when the run must end. */
export function detached(ctx: unknown, client: AbortSignal, run: AbortSignal): unknown {
  const notify: MethodWay = async (send) => {
    if (client.aborted) return undefined;
    try {
      return await send();
    } catch (cause) {
      if (client.aborted) return undefined;
      throw cause;
    }
  };
  const ask: MethodWay = (send, _given, name) => {
    if (!client.aborted) return send();
    throw new Error(`${name}(): the client of this call has left, and its run continues without one`);
  };
  const asks = { send: ask, elicitInput: ask, requestSampling: ask, sendRequest: ask };
  return changedContext(ctx, run, { ...notifying(notify), ...asks }, () => client.aborted || run.aborted);
}
