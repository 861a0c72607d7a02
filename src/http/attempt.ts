import { internal } from '../errors.ts';
import { refuse } from './answer.ts';
import type { Exchange } from './exchange.ts';

/**
 * Runs a part of serving an exchange that nothing awaits: a callback of a socket, or work that was started. Without it, what
 * the part throws, or rejects with, would end the process.
 */
export function attempt(exchange: Pick<Exchange, 'fail'>, work: () => unknown): void {
  try {
    const done = work();
    if (done instanceof Promise) done.catch((cause: unknown) => exchange.fail(cause));
  } catch (cause) {
    exchange.fail(cause);
  }
}

/** Told of what an exchange failed with, before it is answered. */
export type ReportFailure = (cause: unknown) => void;

/** What `Exchange.fail` does. `streaming`: the head of a stream has left, so that no status can be sent any more. */
export function failWith(
  exchange: Exchange,
  { cause, streaming, report }: { cause: unknown; streaming: boolean; report: ReportFailure },
): void {
  report(cause);
  try {
    if (streaming) exchange.destroy();
    else refuse(exchange, internal(cause), null);
  } catch (answering) {
    report(answering);
    exchange.destroy();
  }
}
