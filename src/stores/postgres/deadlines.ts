/** How long the store waits for its server, and by which clock. */
import { elapse, keepingProcess, monotonicMs, within } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';
import { answerLimitMs } from '../shared/answer-limit.ts';

/** Leases in tests are shorter than a busy machine takes to answer. */
const MIN_LIMIT_MS = 1_000;

export class PostgresDeadlines {
  readonly #time: TimeProvider;
  /** Every operation is answered or refused within this time. */
  readonly limitMs: number;

  constructor(time: TimeProvider, leaseMs: number, limitMs = Math.max(MIN_LIMIT_MS, answerLimitMs(leaseMs))) {
    this.#time = time;
    this.limitMs = limitMs;
  }

  /** For work that may take longer. */
  longer(limitMs: number): PostgresDeadlines {
    return new PostgresDeadlines(this.#time, 0, limitMs);
  }

  now(): number {
    return monotonicMs(this.#time);
  }

  after(ms: number, then: () => void): unknown {
    return this.#time.setTimeout(then, ms);
  }

  cancel(timer: unknown): void {
    if (timer !== undefined) this.#time.clearTimeout(timer);
  }

  wait(ms: number): Promise<void> {
    return elapse(this.#time, ms);
  }

  /** Does the same as `limit`, and keeps the process alive until then, because idle connections do not. */
  alive<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return keepingProcess(() => this.limit(work, late));
  }

  /** After the limit the result of `work` is ignored, and so is its failure. */
  limit<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return within(this.#time, this.limitMs, work, () => {
      throw late();
    });
  }
}
