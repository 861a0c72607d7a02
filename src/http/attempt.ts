import { answerFailure } from './answer.ts';
import type { Notices } from '../observe/notices.ts';
import type { Exchange } from './exchange.ts';
import type { MemoryUse, SlowReaders } from './slow-readers.ts';

/**
 * Runs a part of serving an exchange that nothing awaits, such as a socket callback or started work. Without this
 * guard, an error or a rejection there would end the process.
 */
export function attempt(exchange: Pick<Exchange, 'fail'>, work: () => unknown): void {
  try {
    const done = work();
    if (done instanceof Promise) done.catch((cause: unknown) => exchange.fail(cause));
  } catch (cause) {
    exchange.fail(cause);
  }
}

/** Called with the error that an exchange failed with, before the exchange is answered. */
export type ReportFailure = (cause: unknown) => void;

/** What the exchanges of an endpoint share. */
export interface ExchangeHost {
  readonly report: ReportFailure;
  readonly notices: Notices;
  readonly memory: MemoryUse;
  readonly slowReaders: SlowReaders;
}

/** Implements `Exchange.fail`. `streaming`: the head of a stream has been sent, so no status can be sent any more. */
export function failWith(
  exchange: Exchange,
  { cause, streaming, report }: { cause: unknown; streaming: boolean; report: ReportFailure },
): void {
  report(cause);
  try {
    if (streaming) exchange.destroy();
    else answerFailure(exchange, cause);
  } catch (answering) {
    report(answering);
    exchange.destroy();
  }
}
