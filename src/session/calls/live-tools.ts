/** The handlers of `live()` (`durable/live/live.ts`), as the seam of each server finds them. */
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { handlerOfTool } from '../../sdk/tools.ts';
import type { Call } from './call.ts';

type Next = (request: RpcRequest, given: unknown) => unknown;

export interface LiveTool {
  /** Runs `next` on the instance that has the object of the call: here, or there. */
  enter(call: Call, request: RpcRequest, given: unknown, next: Next): unknown;
}

const tools = new WeakMap<object, LiveTool>();

/** `any`: set from the first one on. A process without them looks nothing up. */
export const liveTools: { any: true | undefined } = { any: undefined };

export function addLiveTool(handler: object, tool: LiveTool): void {
  liveTools.any = true;
  tools.set(handler, tool);
}

const attempts = new WeakMap<Call, number>();

/** A session runs a call again. `attempt`: how often its request runs, this run included. */
export function noteAttempt(call: Call, attempt: number): void {
  if (liveTools.any) attempts.set(call, attempt);
}

/** How often the request of a call may have run before. */
export const runsBefore = (call: Call): number => (attempts.get(call) ?? 1) - 1;

export function liveToolOf(server: object, name: string): LiveTool | undefined {
  const handler = handlerOfTool(server, name);
  return handler && tools.get(handler);
}
