import { callTimeout, type SojournError } from '../../base/errors.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { limitedLogger } from '../../base/options/log-limit.ts';
import { type RpcRequest, toolOf } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import { quoted } from '../../base/shown.ts';
import type { RunningWork } from '../../http/body.ts';
import { GRACE_MS } from '../../base/hook-time.ts';

/**
 * The handler of a request begins. `expire` answers the request and aborts the handler. If the request has ended, it
 * calls `expireHeld`.
 */
export type StartTime = (
  call: RunningWork,
  request: RpcRequest,
  expire: (error: SojournError) => void,
) => void;

/** `undefined`: no call has a time limit. */
export function callTimeOf({
  limits,
  perTool,
  logger,
  timeProvider: time,
}: ResolvedOptions): StartTime | undefined {
  if ([limits, ...Object.values(perTool)].every(({ callTimeoutMs }) => callTimeoutMs === Infinity))
    return undefined;
  const limited = limitedLogger(logger, time, 1);
  const whileRunning = (call: RunningWork, ms: number, then: () => void): void => {
    const timer = time.setTimeout(then, ms);
    call.holds({ release: () => time.clearTimeout(timer) });
  };
  return (call, request, expire) => {
    const tool = toolOf(request);
    const own = tool !== undefined && Object.hasOwn(perTool, tool) ? perTool[tool] : undefined;
    const { callTimeoutMs } = own ?? limits;
    if (callTimeoutMs === Infinity || roleOf(request.method) === 'listen') return;
    whileRunning(call, callTimeoutMs, () => {
      expire(callTimeout(callTimeoutMs));
      const handler = tool === undefined ? request.method : `the tool ${quoted(tool)}`;
      whileRunning(call, GRACE_MS, () =>
        limited.warn(
          { handler, callTimeoutMs },
          `The handler of ${handler} ignores its signal: it still runs ${GRACE_MS} ms after its time limit (callTimeoutMs), and keeps its place in the limits until it settles`,
        ),
      );
    });
  };
}
