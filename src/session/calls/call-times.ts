/**
 * The time limit of calls: `limits.callMs`, and `callMs` of `limits.perTool`.
 *
 *     running ──callMs──▶ its client gets CALL_TIMEOUT, its signal aborts ──settles──▶ done
 *        │                                             ╰──still runs after GRACE_MS──▶ a line in the log
 *        ╰──its client left before──callMs──────────────────────╯
 *
 * A handler that ignores its signal keeps its places, because it still uses what the limits protect.
 */
import { callTimeout, type SojournError } from '../../errors.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { limitedLogger } from '../../options/log-limit.ts';
import { type RpcRequest, toolOf } from '../../protocol/jsonrpc.ts';
import { quoted } from '../../base/shown.ts';
import type { Logger } from '../../types.ts';
import type { HandlerWork } from './handler-work.ts';
import { GRACE_MS } from '../hook-time.ts';

/** `undefined`: no call has a time limit. */
export function callTimesOf(options: ResolvedOptions): CallTimes | undefined {
  const { limits, perTool } = options;
  const isLimited = [limits, ...Object.values(perTool)].some(({ callMs }) => callMs !== Infinity);
  return isLimited ? new CallTimes(options) : undefined;
}

export class CallTimes {
  readonly #options: ResolvedOptions;
  readonly #logger: Logger;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#logger = limitedLogger(options.logger, options.timeProvider, 1);
  }

  /** The handler of a request begins. `expire` answers the request and aborts the handler. */
  start(work: HandlerWork, request: RpcRequest, expire: (error: SojournError) => void): void {
    const { limits, perTool, timeProvider } = this.#options;
    const tool = toolOf(request);
    const own = tool !== undefined && Object.hasOwn(perTool, tool) ? perTool[tool] : undefined;
    const { callMs } = own ?? limits;
    if (callMs === Infinity || request.method === 'subscriptions/listen') return;
    const timer = timeProvider.setTimeout(() => {
      if (!work.ended) expire(callTimeout(callMs));
      this.#watch(work, tool === undefined ? request.method : `the tool ${quoted(tool)}`, callMs);
    }, callMs);
    work.holds({ release: () => timeProvider.clearTimeout(timer) });
  }

  #watch(work: HandlerWork, handler: string, callMs: number): void {
    const { timeProvider } = this.#options;
    const timer = timeProvider.setTimeout(() => {
      this.#logger.warn(
        { handler, callMs },
        `The handler of ${handler} ignores its signal: it still runs ${GRACE_MS} ms after its time limit (callMs), and keeps its place in the limits until it settles`,
      );
    }, GRACE_MS);
    work.holds({ release: () => timeProvider.clearTimeout(timer) });
  }
}
