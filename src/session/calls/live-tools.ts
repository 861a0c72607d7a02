/**
 * The handlers of `live()` (`durable/live/live.ts`), and where their calls are served. This is found out before a call is
 * delivered to its server, so nothing of the application runs twice:
 *
 *     dispatch ─▶ its object is here ─▶ the server of the call
 *         ╰─▶ it is at another instance ─▶ over the link; what the server there sends leaves through the home of the call
 */
import { madeOf } from '../../sdk/handlers.ts';
import { type Tool, toolOfServer } from '../../sdk/tools.ts';
import { type RpcRequest, toolOf } from '../../base/protocol/jsonrpc.ts';
import type { Call } from './call.ts';
import type { Home } from './home.ts';

export interface LiveTool {
  /** `undefined`: its handler begins here, at once. Else resolves to whether it begins here; it does not reject. */
  place(call: Call, request: RpcRequest, home: Home, tool: Tool): Promise<boolean> | undefined;
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

/** A tool of `live()`, as a server has registered it. */
export function liveToolOf(
  request: RpcRequest,
  server: object | undefined,
): { readonly tool: Tool; readonly live: LiveTool } | undefined {
  const name = toolOf(request);
  const made = name === undefined ? undefined : madeOf(server);
  const found = made && name !== undefined ? toolOfServer(made, name) : undefined;
  const live = found && tools.get(found.handler);
  return live && { tool: found.tool, live };
}

/** Places a call as `LiveTool.place` does. */
export function placed(
  call: Call,
  request: RpcRequest,
  server: object | undefined,
  home: Home,
): Promise<boolean> | undefined {
  const found = call.isRefused ? undefined : liveToolOf(request, server);
  return found?.live.place(call, request, home, found.tool);
}
