/** How long a store waits for its server, and by which clock. A deadline is a moment of the monotonic clock. */
import { keepingProcess, monotonicMs, within } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';

export class Deadlines {
  readonly time: TimeProvider;
  /** Every operation is answered or refused within this time. */
  readonly limitMs: number;

  constructor(time: TimeProvider, limitMs: number) {
    this.time = time;
    this.limitMs = limitMs;
  }

  now(): number {
    return monotonicMs(this.time);
  }

  /** The deadline of a request that is made now. */
  deadline(): number {
    return this.now() + this.limitMs;
  }

  /** Does the same as `limit`, and keeps the process alive until then, because idle connections do not. */
  alive<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return keepingProcess(() => this.limit(work, late));
  }

  /** After the limit the result of `work` is ignored, and so is its failure. */
  limit<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return within(this.time, this.limitMs, work, () => {
      throw late();
    });
  }
}
